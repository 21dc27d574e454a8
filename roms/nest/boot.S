/*
 * Where nest starts.
 *
 * start32:     on the bare machine, from a multiboot 1 loader: 32-bit protected mode,
 *              EAX = 2BADB002h, EBX = multiboot information. Builds identity page tables and goes
 *              to 64-bit mode.
 * guest_start: at every other level, from the hypervisor below, which is nest too: 64-bit mode, the
 *              same page tables; RDI = number of this level, RSI = depth, and options in its upper
 *              half, RDX = end of memory.
 *
 * Specification: "Multiboot Specification version 0.6.96"; SDM vol. 3, "Initializing IA-32e Mode".
 */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00000003 /* modules on page boundaries, memory information */
#define MULTIBOOT_LOADED 0x2badb002

#define PRESENT_WRITABLE 0x3
#define PRESENT_WRITABLE_LARGE 0x83

	.section .boot, "ax"
	.align 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.code32
	.global start32
start32:
	cli
	cld
	cmpl $MULTIBOOT_LOADED, %eax
	jne no_long_mode
	movl %ebx, %esi			/* multiboot information */
	movl $stack_top, %esp
	movl $0x80000001, %eax
	cpuid
	testl $(1 << 29), %edx		/* long mode */
	jz no_long_mode

	/* one PML4 entry, one PDPT entry, 512 pages of 2 MiB: 1 GiB, linear = physical */
	movl $pdpt + PRESENT_WRITABLE, pml4
	movl $page_directory + PRESENT_WRITABLE, pdpt
	movl $page_directory, %edi
	movl $PRESENT_WRITABLE_LARGE, %eax
1:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x200000, %eax
	cmpl $0x40000000, %eax
	jb 1b

	movl $pml4, %eax
	movl %eax, %cr3
	movl $0x20, %eax		/* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx		/* IA32_EFER.LME */
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl $0x80000031, %eax		/* PG, NE (VMX wants it), ET, PE */
	movl %eax, %cr0
	lgdt boot_gdt_pointer
	ljmp $0x08, $start64

no_long_mode:
	movb $1, %al			/* nothing to print with yet: only the exit port */
	outb %al, $0xf4
1:	cli
	hlt
	jmp 1b

	.code64
start64:
	movl $1, %edi
	movl %esi, %esi
	xorl %edx, %edx

	.global guest_start
guest_start:
	cld
	movl $stack_top, %esp
	movq %rdi, %r8
	movl $bss_start, %edi		/* a guest's memory may hold anything here */
	movl $bss_end, %ecx
	subl %edi, %ecx
	shrl $3, %ecx
	xorl %eax, %eax
	rep stosq
	movq %r8, %rdi
	call nest_main

	.section .rodata
	.align 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 64-bit code */
	.quad 0x00cf93000000ffff	/* data */
boot_gdt_pointer:
	.word . - boot_gdt - 1
	.long boot_gdt

	/* Outside .bss: a guest finds them filled. */
	.section .page_tables, "aw", @nobits
	.align 4096
pml4:	.skip 4096
pdpt:	.skip 4096
page_directory:
	.skip 4096

	.bss
	.align 16
	.skip 8192
	.global stack_top
stack_top:
	.section .note.GNU-stack, "", @progbits
