/*
 * 16550A serial port over a host byte stream.
 */
#ifndef DEVICES_UART_H
#define DEVICES_UART_H

#include "devices/device.h"
#include "devices/host.h"

#define UART_FIFO 16

struct uart {
	struct device device;
	/* Wires: interrupt; the stream, NULL for a port with nothing plugged in. init puts the
	 * chip's receiving ends into *host. */
	struct irq_line irq;
	struct host_chardev *host;
	/* Ports: 3F8h and so on (8). */
	struct io_region io;
	u8 ier, fcr, lcr, mcr, lsr, msr, scr;
	u8 thr; /* the byte in the transmitter; only loopback can show it */
	u16 divisor;
	u8 rx[UART_FIFO];
	u8 rx_error[UART_FIFO]; /* LSR bits 4:2 that came with the byte */
	u8 rx_head, rx_count;
	u8 thre_pending; /* transmitter-empty interrupt not yet seen in IIR */
	u8 timeout;	 /* character timeout interrupt is up */
	u64 timeout_at;	 /* ns; CLOCK_NEVER while not running */
	struct timer timer;
};

extern const struct device_class uart_class;

#endif
