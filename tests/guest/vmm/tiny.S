/*
 * Tiny guests that start in real mode and use what 64-bit kernels no longer do: 16-bit code, protected
 * mode without paging, and both kinds of 32-bit paging. One image at IMAGE_BASE with an entry for each;
 * a guest says what it computed, 32 bits at a time, through port PORT_TINY_SAY and ends with port
 * PORT_TINY_END. What it must say stands in tiny.c.
 *
 * Left out: virtual-8086 tasks, hardware task switches, PSE-36.
 */
#include "tiny.h"

#define AT(label) ((label) - tiny_image + IMAGE_BASE)

/* Guest-physical addresses. Below the image are interrupt vectors and the stack. */
#define STACK 0x1000
#define DATA 0x20000
#define DATA_COPY 0x28000
#define PAGE_DIRECTORY 0x30000
#define TABLE_LOW 0x31000
#define TABLE_DEMAND 0x32000
#define IDT 0x33000
#define TSS 0x34000
#define PDPT 0x35000
#define USER_STACK 0x37000
#define ALIASED 0x50000
#define FRAMES 0x60000
#define SPARE_FRAME 0xb0000
#define ABOVE_1M 0x110000

/* Linear addresses: a large page over the first memory, and pages mapped on demand. */
#define LARGE 0x800000
#define DEMAND 0xc00000
#define DEMAND_PAGES 64

/* Selectors, in the order of the GDT. */
#define CODE16 0x08
#define DATA16 0x10
#define STACK16 0x18
#define CODE32 0x20
#define DATA32 0x28
#define USER_CODE 0x33
#define USER_DATA 0x3b
#define TASK 0x40

	.section .rodata
	.globl tiny_image, tiny_image_end, tiny_real, tiny_unreal, tiny_switch, tiny_flat32, tiny_pae
tiny_image:
	.p2align 3
gdt:
	.quad 0
	.quad 0x00009b000000ffff
	.quad 0x000093020000ffff /* at DATA */
	.quad 0x000093000000ffff
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cffb000000ffff
	.quad 0x00cff3000000ffff
	.quad 0x0000890340000067 /* at TSS */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long AT(gdt)
idt_pointer:
	.word 0x7ff
	.long IDT
ticks:
	.long 0
faults:
	.long 0
error_codes:
	.long 0

	.code16
say16:
	push %dx
	mov $PORT_TINY_SAY, %dx
	out %eax, %dx
	pop %dx
	ret

.macro begin16
	cli
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $STACK, %sp
.endm

.macro vector number, handler
	movw $AT(\handler), 4 * \number
	movw $0, 4 * \number + 2
.endm

/* --- real mode: software and hardware interrupts, segments, far calls, string I/O --- */
tiny_real:
	begin16
	vector 0x40, add_cx
	mov $100, %cx
	xor %eax, %eax
1:	int $0x40
	loop 1b
	call say16

	push %ds
	mov $DATA >> 4, %ax
	mov %ax, %ds
	mov $DATA_COPY >> 4, %ax
	mov %ax, %es
	xor %di, %di
	xor %eax, %eax
1:	mov %ax, (%di) /* word n is 3 n */
	add $3, %ax
	add $2, %di
	cmp $3000, %ax
	jb 1b
	xor %si, %si
	mov $0x1000, %di
	mov $1000, %cx
	cld
	rep movsw
	xor %eax, %eax
	xor %edx, %edx
	mov $0x1000, %di
	mov $1000, %cx
1:	mov %es:(%di), %dx
	add %edx, %eax
	add $2, %di
	loop 1b
	pop %ds
	call say16

	lcall $IMAGE_BASE >> 4, $(far_code - tiny_image)
	call say16

	/* four words from the port, by one string instruction */
	xor %ax, %ax
	mov %ax, %es
	mov $DATA >> 4, %ax
	mov %ax, %es
	xor %di, %di
	mov $4, %cx
	mov $PORT_TINY_SAY, %dx
	rep insw
	xor %eax, %eax
	mov %es:0, %ax
	add %es:2, %ax
	add %es:4, %ax
	add %es:6, %ax
	call say16

	/* the clock of a BIOS: PIT, PIC, interrupt 8, HLT */
	vector 8, clock
	mov $0x11, %al
	out %al, $0x20
	mov $8, %al
	out %al, $0x21
	mov $4, %al
	out %al, $0x21
	mov $1, %al
	out %al, $0x21
	mov $0xfe, %al
	out %al, $0x21
	mov $0x34, %al
	out %al, $0x43
	xor %al, %al
	out %al, $0x40
	mov $0x10, %al
	out %al, $0x40
1:	sti
	hlt
	cli
	cmpl $5, AT(ticks)
	jb 1b
	mov AT(ticks), %eax
	call say16
	mov $0xff, %al
	out %al, $0x21
	jmp end16

add_cx:
	push %ecx
	movzx %cx, %ecx
	add %ecx, %eax
	pop %ecx
	iret

clock:
	push %ax
	incl AT(ticks)
	mov $0x20, %al
	out %al, $0x20
	pop %ax
	iret

far_code:
	mov %cs, %ax
	movzx %ax, %eax
	add %cs:(far_constant - tiny_image), %eax
	lret
far_constant:
	.long 0x12340000

end16:
	mov $PORT_TINY_END, %dx
	out %al, %dx
1:	hlt
	jmp 1b

/* --- real mode with a 4 GiB segment, as firmware uses it --- */
tiny_unreal:
	begin16
	lgdtl AT(gdt_pointer)
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	mov $DATA32, %bx
	mov %bx, %fs
	and $0xfe, %al
	mov %eax, %cr0
	ljmp $0, $AT(1f)
1:	mov $0x10000000, %eax
	mov $ABOVE_1M, %ebx
	mov $1000, %cx
1:	add $3, %eax
	mov %eax, %fs:(%ebx)
	add $4, %ebx
	loop 1b
	mov %fs:-4(%ebx), %eax
	call say16
	jmp end16

/* --- into 16-bit protected mode and back, many times --- */
tiny_switch:
	begin16
	lgdtl AT(gdt_pointer)
	mov $200, %cx
	movl $0, %es:0x800
again:
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmp $CODE16, $AT(1f)
1:	mov $DATA16, %ax
	mov %ax, %ds
	mov $STACK16, %ax
	mov %ax, %ss
	push %cx
	movzx %cx, %ecx
	add %ecx, 0x10 /* by its base, at DATA + 10H */
	pop %cx
	mov %cr0, %eax
	and $0xfe, %al
	mov %eax, %cr0
	ljmp $0, $AT(1f)
1:	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	loop again
	mov $DATA >> 4, %ax
	mov %ax, %ds
	mov 0x10, %eax
	call say16
	jmp end16

/* --- 32-bit code --- */
.macro enter32
	begin16
	lgdtl AT(gdt_pointer)
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $CODE32, $AT(1f)
	.code32
1:	mov $DATA32, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $STACK, %esp
.endm

.macro gate number, handler, rights
	movl $(AT(\handler) + (CODE32 << 16)), IDT + 8 * \number
	movl $\rights, IDT + 8 * \number + 4
.endm

	.code32
say32:
	push %edx
	mov $PORT_TINY_SAY, %edx
	out %eax, %dx
	pop %edx
	ret

/* The page fault handler: a missing page gets its frame, a protection fault gets its rights. */
.macro fault_handler pae
	push %eax
	push %ebx
	mov 8(%esp), %eax
	add %eax, AT(error_codes)
	incl AT(faults)
	mov %cr2, %ebx
	shr $12, %ebx
	and $0x1ff, %ebx
	test $1, %al
	mov %ebx, %eax
	jnz 1f
	shl $12, %eax
	add $FRAMES + 3, %eax
	mov %eax, TABLE_DEMAND(, %ebx, 4 << \pae)
	jmp 2f
1:	orl $6, TABLE_DEMAND(, %ebx, 4 << \pae)
.if \pae
	andl $0x7fffffff, TABLE_DEMAND + 4(, %ebx, 8)
.endif
	mov %cr2, %eax
	invlpg (%eax)
2:	pop %ebx
	pop %eax
	add $4, %esp
	iret
.endm

fault_flat32:
	fault_handler 0
fault_pae:
	fault_handler 1

/* Ends the ring-3 part: back to where EBP says, with the stack as it was. */
leave_user:
	mov %ebx, %esp
	mov $DATA32, %cx
	mov %cx, %ds
	jmp *%ebp

.macro paging_guest pae
	/* arithmetic before there is any paging */
	mov $1, %eax
	mov $10000, %ecx
1:	imul $1103515245, %eax, %eax
	add $12345, %eax
	loop 1b
	call say32

	/* the first memory by small pages, for ring 3 too */
	cld
	xor %edi, %edi
	mov $7, %eax
1:	mov %eax, TABLE_LOW(, %edi, 4 << \pae)
	add $0x1000, %eax
	inc %edi
	cmp $512, %edi
	jb 1b
	movl $TABLE_LOW + 7, PAGE_DIRECTORY
	movl $0x87, PAGE_DIRECTORY + (LARGE >> (22 - \pae)) * (4 << \pae)
	movl $TABLE_DEMAND + 7, PAGE_DIRECTORY + (DEMAND >> (22 - \pae)) * (4 << \pae)
.if \pae
	movl $PAGE_DIRECTORY + 1, PDPT
	mov $0xc0000080, %ecx
	xor %edx, %edx
	mov $0x800, %eax /* IA32_EFER.NXE */
	wrmsr
	mov $0x20, %eax /* CR4.PAE */
	mov $PDPT, %ebx
.else
	mov $0x10, %eax /* CR4.PSE */
	mov $PAGE_DIRECTORY, %ebx
.endif
	mov %eax, %cr4
	mov %ebx, %cr3
	mov %cr0, %eax
	or $0x80010000, %eax /* PG, WP */
	mov %eax, %cr0
	jmp 1f
1:
	/* written by one address, read by another */
	movl $0x5eedf00d, LARGE + ALIASED
	mov ALIASED, %eax
	call say32

	/* pages on demand, and what is in their frames */
	xor %ecx, %ecx
	mov $DEMAND, %ebx
1:	mov %ecx, (%ebx)
	add $0x1000, %ebx
	inc %ecx
	cmp $DEMAND_PAGES, %ecx
	jb 1b
	imul $1000, AT(faults), %eax
	add AT(error_codes), %eax
	call say32
	xor %eax, %eax
	xor %edx, %edx
	xor %ecx, %ecx
	mov $FRAMES, %ebx
1:	add (%ebx), %eax
	add $0x1000, %ebx
	mov TABLE_DEMAND(, %ecx, 4 << \pae), %esi
	and $0x60, %esi /* accessed and dirty */
	add %esi, %edx
	inc %ecx
	cmp $DEMAND_PAGES, %ecx
	jb 1b
	call say32
	mov %edx, %eax
	call say32

	/* a page made read-only */
	andl $0xfffffffd, TABLE_DEMAND + 5 * (4 << \pae)
	invlpg DEMAND + 0x5000
	movl $0, AT(error_codes)
	movl $77, DEMAND + 0x5000
	mov AT(error_codes), %eax
	call say32
	mov FRAMES + 0x5000, %eax
	call say32

	/* another frame under the same address */
	movl $0xabcd, SPARE_FRAME
	movl $SPARE_FRAME + 3, TABLE_DEMAND
	invlpg DEMAND
	mov DEMAND, %eax
	call say32

	/* ring 3 reads a page that was the supervisor's */
	movl $0, AT(error_codes)
	movl $STACK, TSS + 4
	movl $DATA32, TSS + 8
	mov $TASK, %ax
	ltr %ax
	mov %esp, %ebx
	mov $AT(8f), %ebp
	mov $USER_DATA, %cx
	mov %cx, %ds
	push $USER_DATA
	push $USER_STACK
	push $2
	push $USER_CODE
	push $AT(7f)
	iret
7:	mov DEMAND + 0x7000, %eax
	push %eax
	pop %eax
	int $0x40
8:	call say32
	mov AT(error_codes), %eax
	call say32
.endm

tiny_flat32:
	.code16
	enter32
	gate 14, fault_flat32, 0x8e00
	gate 0x40, leave_user, 0xee00
	lidt AT(idt_pointer)
	paging_guest 0
	jmp end32

tiny_pae:
	.code16
	enter32
	gate 14, fault_pae, 0x8e00
	gate 0x40, leave_user, 0xee00
	lidt AT(idt_pointer)
	paging_guest 1

	/* code in a page that must not be executed */
	movl $0, AT(error_codes)
	movb $0xc3, DEMAND + 0x9000
	orl $0x80000000, TABLE_DEMAND + 9 * 8 + 4
	invlpg DEMAND + 0x9000
	mov $DEMAND + 0x9000, %eax
	call *%eax
	mov AT(error_codes), %eax
	call say32

	/* the second gibibyte like the first: MOV to CR3 loads the PDPTEs */
	movl $PAGE_DIRECTORY + 1, PDPT + 8
	mov %cr3, %eax
	mov %eax, %cr3
	mov 0x40000000 + ALIASED, %eax
	call say32

end32:
	mov $PORT_TINY_END, %edx
	out %al, %dx
1:	hlt
	jmp 1b
tiny_image_end:
	.section .note.GNU-stack, "", @progbits
