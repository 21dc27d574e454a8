/*
 * 8042 keyboard controller with a PS/2 keyboard and a PS/2 mouse behind it.
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "devices/device.h"

#define PS2_QUEUE 64

struct ps2_port {
	u8 queue[PS2_QUEUE];
	u8 head, count;
	u8 enabled; /* the device reports keys or movement */
	u8 command; /* command whose parameter is awaited, or 0 */
	u8 last;    /* last byte sent, for resend */
	u8 rate;    /* typematic byte; samples per second */
	u8 leds;    /* keyboard LEDs; mouse resolution */
	u8 set;	    /* keyboard: scan code set 1 or 2 */
	u8 mode;    /* mouse: bit 0 2:1 scaling, bit 1 remote, bit 2 wrap */
	u8 buttons; /* mouse */
	u8 knock;   /* mouse: how far the wheel knock (200, 100, 80) has come; 4: wheel on */
	s16 dx, dy, dz;
};

struct i8042 {
	struct device device;
	/* Wires. a20: level of the controller's A20 gate output. */
	struct irq_line irq_keyboard, irq_mouse; /* IRQ1, IRQ12 */
	struct irq_line a20;
	void (*reset_cpu)(void *owner); /* output port bit 0 pulsed low */
	void *reset_owner;
	/* Ports: 60h (1), 64h (1). */
	struct io_region io_data, io_command;
	u8 status;	/* bits: 0 OBF, 3 last write was a command, 5 OBF from the mouse */
	u8 config;	/* controller command byte */
	u8 output_port; /* bits 0 (reset#) and 1 (A20) matter */
	u8 command;	/* controller command whose parameter is awaited, or 0 */
	u8 data;	/* output buffer */
	u8 reply[2];	/* the controller's own answers wait here, before the devices */
	u8 reply_mouse; /* bit n: reply[n] poses as the mouse's */
	u8 replies;
	u8 break_prefix; /* translation has swallowed an F0 */
	u8 ram[32];
	struct ps2_port keyboard, mouse;
};

extern const struct device_class i8042_class;

/* Bytes as a set-2 keyboard sends them for one key event (E0 and F0 prefixes included). All or
 * nothing; false if the queue is full, or the keyboard is not scanning. */
bool i8042_inject_key(struct i8042 *k, const u8 *set2, size_t len);
/* Relative movement: y grows upwards, the wheel (dz) away from the user. Buttons: bit 0 left, 1
 * right, 2 middle. */
void i8042_inject_mouse(struct i8042 *k, int dx, int dy, int dz, u8 buttons);

#endif
