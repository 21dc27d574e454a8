/*
 * 16550A UART. National Semiconductor PC16550D datasheet. As on a PC, OUT2 gates the interrupt. A
 * byte written is transmitted at once, so the transmitter is always empty; only the character
 * timeout of the receiver keeps baud-rate time. Left out: DMA signalling (TXRDY/RXRDY pins).
 */
#include "base/bits.h"
#include "devices/uart.h"

#define CLOCK_HZ 1843200u
#define MAX_TIMEOUT_NS 50000000u
#define RESET_DIVISOR 12 /* 9600 baud; undefined on the chip */

#define IER_RDA 0x01u
#define IER_THRE 0x02u
#define IER_RLS 0x04u
#define IER_MS 0x08u
#define IIR_NONE 0x01u
#define IIR_MS 0x00u
#define IIR_THRE 0x02u
#define IIR_RDA 0x04u
#define IIR_RLS 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFOS 0xc0u
#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_STORED 0xc9u
#define LCR_BREAK 0x40u
#define LCR_DLAB 0x80u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_ERRORS 0x1cu /* parity, framing, break */
#define LSR_BI 0x10u
#define LSR_EMPTY 0x60u /* THRE, TEMT */
#define LSR_FIFO_ERROR 0x80u
#define MSR_DELTAS 0x0fu
#define MSR_CONNECTED 0xb0u /* CTS, DSR, DCD */

static bool fifo_on(const struct uart *u)
{
	return u->fcr & FCR_ENABLE;
}

static unsigned capacity(const struct uart *u)
{
	return fifo_on(u) ? UART_FIFO : 1;
}

static unsigned trigger(const struct uart *u)
{
	static const u8 level[4] = {1, 4, 8, 14};

	return fifo_on(u) ? level[u->fcr >> 6] : 1;
}

/* Interrupt identification, highest priority first. */
static u8 identify(const struct uart *u)
{
	if ((u->ier & IER_RLS) && (u->lsr & (LSR_OE | LSR_ERRORS)))
		return IIR_RLS;
	if ((u->ier & IER_RDA) && u->rx_count >= trigger(u))
		return IIR_RDA;
	if ((u->ier & IER_RDA) && u->timeout)
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MS) && (u->msr & MSR_DELTAS))
		return IIR_MS;
	return IIR_NONE;
}

static void update_irq(struct uart *u)
{
	bool gate = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	irq_set(&u->irq, gate && identify(u) != IIR_NONE);
}

/* Receiver */

/* Four character times without a read or a new byte. */
static u64 timeout_ns(const struct uart *u)
{
	unsigned halves = 2 * (1 + 5 + (u->lcr & 3)) + (u->lcr & 8 ? 2 : 0) +
			  (!(u->lcr & 4)  ? 2
			   : (u->lcr & 3) ? 4
					  : 3);
	u64 ticks = 4ull * halves * 8 * (u->divisor ? u->divisor : 1);
	u64 ns = clock_ticks_to_ns(ticks, CLOCK_HZ);

	return ns < MAX_TIMEOUT_NS ? ns : MAX_TIMEOUT_NS;
}

static void restart_timeout(struct uart *u)
{
	struct clock *clock = u->device.env.clock;

	u->timeout = 0;
	if (!fifo_on(u) || !u->rx_count) {
		u->timeout_at = CLOCK_NEVER;
		timer_cancel(clock, &u->timer);
		return;
	}
	u->timeout_at = clock_now(clock) + timeout_ns(u);
	timer_set(clock, &u->timer, u->timeout_at);
}

static void uart_timeout(void *owner, u64 now)
{
	struct uart *u = owner;

	(void)now;
	u->timeout_at = CLOCK_NEVER;
	u->timeout = u->rx_count != 0;
	update_irq(u);
}

/* The errors of a byte show in LSR once it has come to the head of the FIFO. */
static void show_head_errors(struct uart *u)
{
	if (!u->rx_count)
		return;
	u->lsr |= u->rx_error[u->rx_head];
	u->rx_error[u->rx_head] = 0;
}

static void push(struct uart *u, u8 byte, u8 error)
{
	if (u->rx_count >= capacity(u)) {
		u->lsr |= LSR_OE;
		if (!fifo_on(u)) /* the new byte replaces the old */
			u->rx[u->rx_head] = byte;
		return;
	}
	u->rx[(u->rx_head + u->rx_count) % UART_FIFO] = byte;
	u->rx_error[(u->rx_head + u->rx_count) % UART_FIFO] = error;
	u->rx_count++;
	show_head_errors(u);
}

static size_t uart_can_receive(void *chip)
{
	const struct uart *u = chip;

	return u->mcr & MCR_LOOP ? 0 : capacity(u) - u->rx_count;
}

static void uart_receive(void *chip, const u8 *data, size_t len)
{
	struct uart *u = chip;

	if (u->mcr & MCR_LOOP) /* the input pin is cut off */
		return;
	for (size_t i = 0; i < len; i++)
		push(u, data[i], 0);
	restart_timeout(u);
	update_irq(u);
}

static void clear_rx(struct uart *u)
{
	u->rx_head = u->rx_count = 0;
	memset(u->rx_error, 0, sizeof(u->rx_error));
	restart_timeout(u);
}

static u8 read_rbr(struct uart *u)
{
	u8 byte = u->rx[u->rx_head];

	if (u->rx_count) {
		u->rx_count--;
		if (u->rx_count)
			u->rx_head = (u->rx_head + 1) % UART_FIFO;
		show_head_errors(u);
	}
	restart_timeout(u);
	return byte;
}

/* Transmitter */

static void transmit(struct uart *u, u8 byte)
{
	byte &= (u8)(0xff >> (3 - (u->lcr & 3)));
	u->thr = byte;
	u->thre_pending = 0;
	update_irq(u); /* an edge for the next "empty" */
	if (u->mcr & MCR_LOOP) {
		push(u, byte, 0);
		restart_timeout(u);
	} else if (u->host && u->host->write) {
		u->host->write(u->host->owner, &byte, 1);
	}
	u->thre_pending = 1;
}

/* Modem lines */

static u8 modem_inputs(const struct uart *u)
{
	u8 m = u->mcr;

	if (m & MCR_LOOP) /* RTS, DTR, OUT1, OUT2 come back as CTS, DSR, RI, DCD */
		return (u8)((m & 2) << 3 | (m & 1) << 5 | (m & 4) << 4 | (m & 8) << 4);
	return u->host ? MSR_CONNECTED : 0;
}

static void update_modem(struct uart *u)
{
	u8 old = u->msr >> 4, new = modem_inputs(u) >> 4;
	u8 delta = (old ^ new) & 0xb;

	if (old & ~new & 4) /* RI: trailing edge only */
		delta |= 4;
	u->msr = (u8)(new << 4) | (u->msr & MSR_DELTAS) | delta;
}

/* Registers */

static void write_ier(struct uart *u, u8 v)
{
	if ((v & IER_THRE) && !(u->ier & IER_THRE))
		u->thre_pending = 1;
	u->ier = v & 0x0f;
}

static void write_fcr(struct uart *u, u8 v)
{
	bool toggled = (v ^ u->fcr) & FCR_ENABLE;

	u->fcr = v & FCR_ENABLE ? v & FCR_STORED : 0;
	if (toggled || ((v & FCR_CLEAR_RX) && (v & FCR_ENABLE)))
		clear_rx(u);
}

static void write_lcr(struct uart *u, u8 v)
{
	bool break_starts = (v & LCR_BREAK) && !(u->lcr & LCR_BREAK);

	u->lcr = v;
	if (break_starts && (u->mcr & MCR_LOOP)) {
		push(u, 0, LSR_BI);
		restart_timeout(u);
	}
}

static u8 read_iir(struct uart *u)
{
	u8 id = identify(u);

	if (id == IIR_THRE)
		u->thre_pending = 0;
	return id | (fifo_on(u) ? IIR_FIFOS : 0);
}

static u8 read_lsr(struct uart *u)
{
	u8 v = u->lsr | LSR_EMPTY | (u->rx_count ? LSR_DR : 0);
	u8 hidden = 0;

	for (unsigned i = 0; i < u->rx_count; i++)
		hidden |= u->rx_error[(u->rx_head + i) % UART_FIFO];
	if (fifo_on(u) && ((v & LSR_ERRORS) || hidden))
		v |= LSR_FIFO_ERROR;
	u->lsr = 0;
	return v;
}

static u8 read_msr(struct uart *u)
{
	u8 v = u->msr;

	u->msr &= (u8)~MSR_DELTAS;
	return v;
}

static u8 read_register(struct uart *u, u64 offset)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (offset) {
	case 0:
		return dlab ? (u8)u->divisor : read_rbr(u);
	case 1:
		return dlab ? (u8)(u->divisor >> 8) : u->ier;
	case 2:
		return read_iir(u);
	case 3:
		return u->lcr;
	case 4:
		return u->mcr;
	case 5:
		return read_lsr(u);
	case 6:
		return read_msr(u);
	default:
		return u->scr;
	}
}

static void write_register(struct uart *u, u64 offset, u8 v)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (offset) {
	case 0:
		if (dlab)
			u->divisor = (u16)((u->divisor & 0xff00) | v);
		else
			transmit(u, v);
		break;
	case 1:
		if (dlab)
			u->divisor = (u16)((u->divisor & 0xff) | v << 8);
		else
			write_ier(u, v);
		break;
	case 2:
		write_fcr(u, v);
		break;
	case 3:
		write_lcr(u, v);
		break;
	case 4:
		u->mcr = v & 0x1f;
		update_modem(u);
		break;
	case 7:
		u->scr = v;
		break;
	default: /* LSR and MSR are for reading; factory tests wrote them */
		break;
	}
}

static u64 uart_read(void *owner, u64 offset, unsigned size)
{
	struct uart *u = owner;
	u8 v = read_register(u, offset);

	(void)size;
	update_irq(u);
	return v;
}

static void uart_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct uart *u = owner;

	(void)size;
	write_register(u, offset, (u8)value);
	update_irq(u);
}

static void uart_init(struct device *d)
{
	struct uart *u = (struct uart *)d;

	timer_init(&u->timer, uart_timeout, u);
	if (u->host) {
		u->host->receive = uart_receive;
		u->host->can_receive = uart_can_receive;
		u->host->chip = u;
	}
	u->io = (struct io_region){
		.name = "uart",
		.base = u->io.base,
		.len = 8,
		.min = 1,
		.max = 1,
		.read = uart_read,
		.write = uart_write,
		.owner = u,
	};
}

static void uart_reset(struct device *d)
{
	struct uart *u = (struct uart *)d;

	u->ier = u->fcr = u->lcr = u->mcr = u->lsr = u->scr = u->thr = 0;
	u->divisor = RESET_DIVISOR;
	u->thre_pending = 0;
	memset(u->rx, 0, sizeof(u->rx));
	clear_rx(u);
	u->msr = modem_inputs(u);
	update_irq(u);
}

static bool uart_post_load(struct device *d)
{
	struct uart *u = (struct uart *)d;

	if (u->ier & 0xf0 || u->fcr & ~FCR_STORED || (u->fcr && !fifo_on(u)) || u->mcr & 0xe0 ||
	    u->lsr & ~(LSR_OE | LSR_ERRORS) || u->rx_head >= UART_FIFO ||
	    u->rx_count > capacity(u) || u->thre_pending > 1 || u->timeout > 1 ||
	    (u->timeout && !u->rx_count))
		return false;
	for (unsigned i = 0; i < UART_FIFO; i++)
		if (u->rx_error[i] & ~LSR_ERRORS)
			return false;
	timer_cancel(u->device.env.clock, &u->timer);
	if (u->timeout_at != CLOCK_NEVER)
		timer_set(u->device.env.clock, &u->timer, u->timeout_at);
	update_irq(u);
	return true;
}

static const struct state_field uart_state[] = {
	STATE_FIELD(struct uart, ier),
	STATE_FIELD(struct uart, fcr),
	STATE_FIELD(struct uart, lcr),
	STATE_FIELD(struct uart, mcr),
	STATE_FIELD(struct uart, lsr),
	STATE_FIELD(struct uart, msr),
	STATE_FIELD(struct uart, scr),
	STATE_FIELD(struct uart, thr),
	STATE_FIELD(struct uart, divisor),
	STATE_BYTES(struct uart, rx),
	STATE_BYTES(struct uart, rx_error),
	STATE_FIELD(struct uart, rx_head),
	STATE_FIELD(struct uart, rx_count),
	STATE_FIELD(struct uart, thre_pending),
	STATE_FIELD(struct uart, timeout),
	STATE_FIELD(struct uart, timeout_at),
	STATE_END,
};

const struct device_class uart_class = {
	.name = "uart",
	.size = sizeof(struct uart),
	.state = uart_state,
	.init = uart_init,
	.reset = uart_reset,
	.post_load = uart_post_load,
};
