/*
 * The terminal that the program was started from: raw mode, and signals as requests to end.
 */
#ifndef FRONTEND_UI_TERMINAL_H
#define FRONTEND_UI_TERMINAL_H

#include "base/types.h"

/* Catches signals; makes sure that descriptors 0, 1 and 2 are open. False: errno. */
bool terminal_init(void);
/* Raw mode for stdin if it is a terminal. keep_signals: Ctrl-C and Ctrl-Z stay with the host. */
void terminal_raw(bool keep_signals);
/* As it was found. Also done before death by a fatal signal. */
void terminal_restore(void);
/* The signal that asked the program to end, or 0. */
int terminal_signal(void);
/* Readable as soon as a signal has come. */
int terminal_wake_fd(void);
void terminal_drain_wake(void);

#endif
