/*
 * GDT, TSS and IDT of a level. A host needs a TSS (VM entry checks the host's TR), and an IDT so
 * that a fault of ours says where it happened. SDM vol. 3, "Protected-Mode Memory Management",
 * "64-Bit Mode Task Management", "64-Bit Mode IDT". No interrupts: RFLAGS.IF stays 0 everywhere.
 */
#include "level.h"

#define CODE_64_DESCRIPTOR 0x00af9b000000ffffull
#define DATA_DESCRIPTOR 0x00cf93000000ffffull
#define TSS_AVAILABLE BIT(43) | BIT(40) | BIT(47) /* type 9, present */
#define INTERRUPT_GATE (0x8eull << 40)
#define STUB_SIZE 16

static void gdt_init(struct level *l)
{
	struct descriptor_pointer gdtr = {sizeof(l->gdt) - 1, (u64)l->gdt};
	u64 tss = (u64)l->tss;

	l->gdt[CODE_SELECTOR / 8] = CODE_64_DESCRIPTOR;
	l->gdt[DATA_SELECTOR / 8] = DATA_DESCRIPTOR;
	l->gdt[TSS_SELECTOR / 8] = (TSS_AVAILABLE) | (sizeof(l->tss) - 1) | (tss & 0xffffff) << 16 |
				   (tss >> 24 & 0xff) << 56;
	l->gdt[TSS_SELECTOR / 8 + 1] = tss >> 32;
	__asm__ volatile("lgdt %0" : : "m"(gdtr));
	__asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:"
			 :
			 : "i"(CODE_SELECTOR)
			 : "rax", "memory");
	__asm__ volatile("movw %0, %%ds; movw %0, %%es; movw %0, %%ss; movw %0, %%fs; movw %0, %%gs"
			 :
			 : "r"((u16)DATA_SELECTOR));
	__asm__ volatile("ltr %0" : : "r"((u16)TSS_SELECTOR));
}

void tables_init(struct level *l)
{
	struct descriptor_pointer idtr = {sizeof(l->idt) - 1, (u64)l->idt};

	gdt_init(l);
	for (u32 i = 0; i < 32; i++) {
		u64 stub = (u64)exception_stubs + i * STUB_SIZE;

		l->idt[i][0] = INTERRUPT_GATE | (stub & 0xffff) | CODE_SELECTOR << 16 |
			       (stub >> 16 & 0xffff) << 48;
		l->idt[i][1] = stub >> 32;
	}
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void exception(struct level *l, u64 vector, u64 error_code, u64 rip)
{
	fatal(l, "exception %lu, error code 0x%lx, RIP 0x%lx, CR2 0x%lx", vector, error_code, rip,
	      read_cr2());
}
