/*
 * Text output. Level 1 has the serial port COM1 (16550, data sheet "PC16550D"), polled. Every other
 * level asks the level below to print whole lines (VMCALL), which costs one exit a line and not one
 * a character. Also the end that nobody wants: a line that says what failed, and the exit port of
 * emulators (isa-debug-exit).
 */
#include "level.h"

#include <stdarg.h>

#define COM1 0x3f8
#define LINE_STATUS 5
#define HOLDING_REGISTER_EMPTY BIT(5)
#define TRANSMITTER_EMPTY BIT(6)
#define EXIT_PORT 0xf4

/* The same at every level; from level 2 on each OUT is an exit. */
void serial_init(void)
{
	outb(COM1 + 1, 0);    /* no interrupts */
	outb(COM1 + 3, 0x80); /* divisor latch */
	outb(COM1 + 0, 1);    /* 115200 baud */
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3); /* 8 bits, no parity */
}

static void serial_send(char c)
{
	while (!(inb(COM1 + LINE_STATUS) & HOLDING_REGISTER_EMPTY))
		;
	outb(COM1, (u8)c);
}

/* Before the machine goes: the last character must have left. */
void serial_drain(void)
{
	while (!(inb(COM1 + LINE_STATUS) & TRANSMITTER_EMPTY))
		;
}

u64 hypercall(enum hypercall number, u64 a, u64 b)
{
	u64 result;

	__asm__ volatile("vmcall" : "=a"(result) : "a"((u64)number), "D"(a), "S"(b) : "memory");
	return result;
}

static void print_line(struct level *l)
{
	if (l->number != 1) {
		hypercall(HYPERCALL_PRINT, (u64)l->line, l->line_length);
	} else {
		for (u32 i = 0; i < l->line_length; i++) {
			if (l->line[i] == '\n')
				serial_send('\r');
			serial_send(l->line[i]);
		}
	}
	l->line_length = 0;
}

void print_char(struct level *l, char c)
{
	l->line[l->line_length++] = c;
	if (c == '\n' || l->line_length == sizeof(l->line))
		print_line(l);
}

static void print_number(struct level *l, u64 value, u32 base)
{
	char digits[20];
	u32 count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (count)
		print_char(l, digits[--count]);
}

/* Knows %s, %u, %lu, %x and %lx. */
static void print_arguments(struct level *l, const char *format, va_list arguments)
{
	for (; *format; format++) {
		bool is_long = format[0] == '%' && format[1] == 'l';

		if (*format != '%') {
			print_char(l, *format);
			continue;
		}
		format += is_long ? 2 : 1;
		if (*format == 's') {
			for (const char *s = va_arg(arguments, const char *); *s; s++)
				print_char(l, *s);
		} else {
			print_number(l, is_long ? va_arg(arguments, u64) : va_arg(arguments, u32),
				     *format == 'x' ? 16 : 10);
		}
	}
}

void print(struct level *l, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_arguments(l, format, arguments);
	va_end(arguments);
}

/* Level 1 reaches the real port; a deeper level's OUT makes the level below fail in turn. */
void fail(struct level *l, u8 value)
{
	if (l->line_length)
		print_char(l, '\n');
	serial_drain();
	outb(EXIT_PORT, value);
	halt_forever();
}

void fatal(struct level *l, const char *format, ...)
{
	va_list arguments;

	print(l, "%slevel %u: FAILED: ", l->line_length ? "\n" : "", l->number);
	va_start(arguments, format);
	print_arguments(l, format, arguments);
	va_end(arguments);
	print_char(l, '\n');
	fail(l, (u8)l->number);
}
