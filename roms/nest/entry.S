/*
 * The two doors between a hypervisor and its guest, and the exception stubs.
 *
 * A VM exit loads RSP with the end of level.gpr[] (HOST_RSP): sixteen pushes put the guest's
 * registers into it, and RSP is then the address of struct level. HOST_RIP is vm_exit. SDM vol. 3,
 * "VM Entries" and "VM Exits".
 */
	.text
	.global vm_exit
vm_exit:
	pushq %r15
	pushq %r14
	pushq %r13
	pushq %r12
	pushq %r11
	pushq %r10
	pushq %r9
	pushq %r8
	pushq %rdi
	pushq %rsi
	pushq %rbp
	pushq %rsp			/* place of RSP: the guest's is in the VMCS */
	pushq %rbx
	pushq %rdx
	pushq %rcx
	pushq %rax
	movq %rsp, %rbx
	movl $stack_top, %esp
	movq %rbx, %rdi
	call exit_handle		/* true: the VMCS to enter is launched */
enter:
	movq %rbx, %rsp
	testb %al, %al			/* POP and MOV leave the flags alone */
	popq %rax
	popq %rcx
	popq %rdx
	popq %rbx
	popq %rbp			/* place of RSP */
	popq %rbp
	popq %rsi
	popq %rdi
	popq %r8
	popq %r9
	popq %r10
	popq %r11
	popq %r12
	popq %r13
	popq %r14
	popq %r15
	jz 1f
	vmresume
	jmp 2f
1:	vmlaunch

	/* Still here: VMfail. The guest's registers are still in level.gpr[]. */
2:	movl $stack_top, %esp
	pushfq
	popq %rsi
	movl $the_level, %ebx
	movq %rbx, %rdi
	call entry_failed
	jmp enter

	/* First entry: RDI = level. */
	.global vm_launch
vm_launch:
	movq %rdi, %rbx
	xorl %eax, %eax
	jmp enter

	/* Stub n, 16 bytes each: a zero where the processor pushes no error code, then the vector */
	.align 16
	.global exception_stubs
exception_stubs:
	.set vector, 0
	.rept 32
	.align 16
	.if !((1 << vector) & 0x60227d00)	/* 8, 10-14, 17, 21, 29, 30 have an error code */
	pushq $0
	.endif
	pushq $vector
	jmp exception_common
	.set vector, vector + 1
	.endr

exception_common:
	movl $the_level, %edi
	popq %rsi			/* vector */
	popq %rdx			/* error code */
	popq %rcx			/* RIP */
	andq $-16, %rsp
	call exception

	.section .note.GNU-stack, "", @progbits
