// The monitor's devices outside the kernel: a 16550A serial port at 3F8h on IRQ 4 (PC16550D
// datasheet), the fixed ACPI registers that power a machine off, the reset ports CF9h and 64h, the
// debug port E9h, the bench device: port 5C8h and a page at D0000000h that only count, and the ports
// of the tiny guests.
//
// Left out: baud rates (a byte leaves at once), modem and line status interrupts, breaks, the
// receive timeout. Ports and addresses that nobody has read as all ones.

#include "vmm.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	PORT_UART = 0x3f8,
	PORT_I8042 = 0x64,
	PORT_DEBUG = 0xe9,
	PORT_BENCH = 0x5c8,
	IRQ_UART = 4,
	I8042_PULSE_RESET = 0xfe,
	PM1_SCI_ENABLE = 1,
	PM1_SLEEP_ENABLE = 1 << 13,
	IER_RECEIVED = 1,
	IER_THRE = 2,
	IIR_NONE = 1,
	IIR_THRE = 2,
	IIR_RECEIVED = 4,
	FCR_ENABLE = 1,
	FCR_CLEAR_RX = 2,
	LCR_DLAB = 0x80,
	MCR_OUT2 = 8,
	MCR_LOOP = 0x10,
	LSR_DATA_READY = 1,
	LSR_THR_AND_SHIFT_EMPTY = 0x60,
	MSR_CTS_DSR_DCD = 0xb0,
};

static const uint64_t bench_page = 0xd0000000;

static void print_byte(uint8_t byte)
{
	if (write(STDOUT_FILENO, &byte, 1) != 1)
		return; // nobody listens to the guest, which cannot know
}

static uint8_t uart_reason(const struct uart *u)
{
	if ((u->ier & IER_RECEIVED) && u->rx_count > 0)
		return IIR_RECEIVED;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	return IIR_NONE;
}

static void uart_update_line(struct devices *d)
{
	struct uart *u = &d->uart;
	bool line = uart_reason(u) != IIR_NONE && (u->mcr & MCR_OUT2);
	struct kvm_irq_level level = {.irq = IRQ_UART, .level = line};

	if (line == u->line)
		return;
	u->line = line;
	ioctl(d->vm, KVM_IRQ_LINE, &level);
}

static void uart_receive(struct uart *u, uint8_t byte)
{
	if (u->rx_count == sizeof(u->rx))
		return;
	u->rx[(u->rx_head + u->rx_count++) % sizeof(u->rx)] = byte;
}

static uint8_t uart_take(struct uart *u)
{
	uint8_t byte = u->rx[u->rx_head];

	if (u->rx_count == 0)
		return 0;
	u->rx_head = (u->rx_head + 1) % sizeof(u->rx);
	u->rx_count--;
	pthread_cond_signal(&u->room);
	return byte;
}

static void uart_transmit(struct uart *u, uint8_t byte)
{
	if (u->mcr & MCR_LOOP)
		uart_receive(u, byte);
	else
		print_byte(byte);
	u->thre_pending = true;
}

static void uart_set_ier(struct uart *u, uint8_t value)
{
	// Enabling the interrupt while the register is empty asks for it at once.
	if ((value & IER_THRE) && !(u->ier & IER_THRE))
		u->thre_pending = true;
	u->ier = value & 0x0f;
}

static void uart_set_fcr(struct uart *u, uint8_t value)
{
	if ((value & FCR_CLEAR_RX) || ((value ^ u->fcr) & FCR_ENABLE))
		u->rx_count = 0;
	u->fcr = value & 0xc9;
	pthread_cond_signal(&u->room);
}

static void uart_write(struct uart *u, unsigned reg, uint8_t value)
{
	switch (reg) {
	case 0:
	case 1:
		if (u->lcr & LCR_DLAB)
			u->divisor[reg] = value;
		else if (reg == 0)
			uart_transmit(u, value);
		else
			uart_set_ier(u, value);
		break;
	case 2:
		uart_set_fcr(u, value);
		break;
	case 3:
		u->lcr = value;
		break;
	case 4:
		u->mcr = value & 0x1f;
		break;
	case 7:
		u->scratch = value;
		break;
	default: // line and modem status are read only
		break;
	}
}

static uint8_t uart_read_iir(struct uart *u)
{
	uint8_t reason = uart_reason(u);

	if (reason == IIR_THRE)
		u->thre_pending = false;
	return reason | (u->fcr & FCR_ENABLE ? 0xc0 : 0);
}

// In loopback the outputs of the modem control register come back as inputs.
static uint8_t uart_read_msr(const struct uart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_CTS_DSR_DCD;
	return (uint8_t)((u->mcr & 2) << 3 | (u->mcr & 1) << 5 | (u->mcr & 4) << 4 |
			 (u->mcr & 8) << 4);
}

static uint8_t uart_read(struct uart *u, unsigned reg)
{
	switch (reg) {
	case 0:
		return u->lcr & LCR_DLAB ? u->divisor[0] : uart_take(u);
	case 1:
		return u->lcr & LCR_DLAB ? u->divisor[1] : u->ier;
	case 2:
		return uart_read_iir(u);
	case 3:
		return u->lcr;
	case 4:
		return u->mcr;
	case 5:
		return LSR_THR_AND_SHIFT_EMPTY | (u->rx_count ? LSR_DATA_READY : 0);
	case 6:
		return uart_read_msr(u);
	default:
		return u->scratch;
	}
}

static bool is_uart(uint16_t port)
{
	return port >= PORT_UART && port < PORT_UART + 8;
}

static void pm1_control_write(struct devices *d, uint32_t value)
{
	d->pm1_control = (uint16_t)(value & ~(uint32_t)PM1_SLEEP_ENABLE);
	if ((value & PM1_SLEEP_ENABLE) && (value >> 10 & 7) == SLEEP_TYPE_S5)
		d->stop(d->context, END_POWER_OFF);
}

void devices_init(struct devices *d)
{
	pthread_mutex_init(&d->uart.lock, NULL);
	pthread_cond_init(&d->uart.room, NULL);
	d->uart.thre_pending = true;
}

static void tiny_out(struct devices *d, uint16_t port, uint32_t value)
{
	if (port == PORT_TINY_SAY)
		tiny_say(&d->tiny, value);
	else
		d->stop(d->context, tiny_right(&d->tiny) ? END_POWER_OFF : END_HOST_ERROR);
}

void devices_port_out(struct devices *d, uint16_t port, uint32_t value, unsigned size)
{
	if (port == PORT_BENCH) {
		d->bench_out++;
	} else if (d->tiny.guest && (port == PORT_TINY_SAY || port == PORT_TINY_END)) {
		tiny_out(d, port, value);
	} else if (is_uart(port)) {
		pthread_mutex_lock(&d->uart.lock);
		uart_write(&d->uart, port - PORT_UART, (uint8_t)value);
		uart_update_line(d);
		pthread_mutex_unlock(&d->uart.lock);
	} else if (port == PORT_DEBUG && d->debug_port) {
		print_byte((uint8_t)value);
	} else if (port == PORT_PM1_CONTROL && size >= 2) {
		pm1_control_write(d, value);
	} else if (port == PORT_PM1_EVENT + 2) {
		d->pm1_enable = (uint16_t)value;
	} else if ((port == PORT_I8042 && (value & 0xff) == I8042_PULSE_RESET) ||
		   (port == PORT_RESET && size == 1 && (value & 4))) {
		d->stop(d->context, END_RESET);
	}
}

uint32_t devices_port_in(struct devices *d, uint16_t port, unsigned size)
{
	uint32_t value = 0xffffffffU >> (32 - 8 * size);

	if (is_uart(port)) {
		pthread_mutex_lock(&d->uart.lock);
		value = uart_read(&d->uart, port - PORT_UART);
		uart_update_line(d);
		pthread_mutex_unlock(&d->uart.lock);
	} else if (port == PORT_I8042 || port == PORT_PM1_EVENT || port == PORT_RESET) {
		value = 0;
	} else if (port == PORT_PM1_EVENT + 2) {
		value = d->pm1_enable;
	} else if (port == PORT_PM1_CONTROL) {
		value = d->pm1_control | PM1_SCI_ENABLE;
	} else if (port == PORT_BENCH) {
		value = (uint32_t)d->bench_out;
	} else if (d->tiny.guest && port == PORT_TINY_SAY) {
		value = 3 * d->tiny.reads++;
	}
	return value;
}

void devices_mmio(struct devices *d, uint64_t gpa, bool is_write, uint8_t *data, unsigned size)
{
	uint64_t value;

	if (gpa >> 12 != bench_page >> 12) {
		if (!is_write)
			memset(data, 0xff, size);
		return;
	}
	if (is_write) {
		d->bench_mmio++;
		return;
	}
	value = d->bench_mmio;
	memcpy(data, &value, size);
}

void devices_type(struct devices *d, uint8_t byte)
{
	struct uart *u = &d->uart;

	pthread_mutex_lock(&u->lock);
	while (u->rx_count == sizeof(u->rx))
		pthread_cond_wait(&u->room, &u->lock);
	uart_receive(u, byte);
	uart_update_line(d);
	pthread_mutex_unlock(&u->lock);
}
