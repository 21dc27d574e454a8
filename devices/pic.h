/*
 * Two cascaded 8259A interrupt controllers with the edge/level registers of PCI chipsets (ELCR).
 */
#ifndef DEVICES_PIC_H
#define DEVICES_PIC_H

#include "devices/device.h"

struct pic_chip {
	u8 irr, isr, imr;
	u8 lines; /* input levels as driven */
	u8 elcr;  /* 1: level-triggered */
	u8 icw1, icw2, icw3, icw4;
	u8 icw_next; /* ICW that the next write to the odd port is: 2, 3, 4; 0: OCW1 */
	u8 lowest;   /* input that has the lowest priority now */
	u8 rotate_aeoi;
	u8 read_isr; /* OCW3: even port reads ISR instead of IRR */
	u8 poll;     /* next read is a poll */
	u8 special_mask;
};

struct pic {
	struct device device;
	/* Wires: INTR output of the master. */
	struct irq_line intr;
	/* Ports: 20h (2), A0h (2), 4D0h (2). */
	struct io_region io_master, io_slave, io_elcr;
	struct pic_chip chip[2]; /* master, slave */
	u8 output;		 /* level last driven on intr */
};

extern const struct device_class pic_class;

/* Inputs 0..15; 2 is the cascade and ignored. Shaped for irq_line.set. */
void pic_set_irq(void *pic, unsigned n, bool level);
/* Level of the INTR output. */
bool pic_pending(const struct pic *p);
/* The two INTA cycles: returns the vector. Without a request the answer is the spurious vector. */
int pic_acknowledge(struct pic *p);

#endif
