/*
 * Event delivery: frames, gates, error codes, nested faults.
 */
#include "tests/unit/test_seg.h"

static struct event external(u8 vector)
{
	return (struct event){.valid = true, .vector = vector, .type = EVENT_EXT_INT};
}

static struct event exception(u8 vector, u32 error)
{
	return (struct event){.valid = true,
			      .vector = vector,
			      .type = EVENT_HW_EXC,
			      .has_error = true,
			      .error = error};
}

static struct event soft(u8 vector)
{
	return (struct event){.valid = true, .vector = vector, .type = EVENT_SW_INT, .len = 2};
}

START_TEST(test_long_from_user)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_long(e, 3);
	v->rflags |= RFLAGS_IF | RFLAGS_NT;
	v->reg[RSP] = AT_USTACK - 3;
	env_gate(e, 14, SYS_INT32, KCODE64, 0xffff800000001234, 0);
	env_poke(e, AT_TSS + 4, 8, AT_KSTACK - 8); /* gets aligned */
	raise_pf(v, 0x123456789, 6);
	event_deliver(v, v->exc);
	ck_assert_uint_eq(v->rip, 0xffff800000001234);
	ck_assert_uint_eq(v->cpl, 0);
	ck_assert_uint_eq(v->seg[SEG_CS].sel, KCODE64);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, 0);
	ck_assert_uint_eq(v->seg[SEG_SS].ar & (AR_UNUSABLE | AR_DPL), AR_UNUSABLE);
	ck_assert_uint_eq(v->cr2, 0x123456789);
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 16 - 48);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 24, 8), UDATA);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 32, 8), AT_USTACK - 3);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 40, 8),
			  RFLAGS_IF | RFLAGS_NT | RFLAGS_RF | RFLAGS_FIXED);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 48, 8), UCODE64);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 56, 8), AT_CODE);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 64, 8), 6);
	ck_assert_uint_eq(v->rflags & (RFLAGS_IF | RFLAGS_NT | RFLAGS_RF), 0);
	ck_assert(v->table == v->tlb.cur->way[TLB_SUPER]);
	ck_assert(!v->exc.valid && !v->delivering);
	env_free(e);
}
END_TEST

START_TEST(test_long_same_level)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_long(e, 0);
	v->rflags |= RFLAGS_IF;
	env_gate(e, 0x80, SYS_TRAP32, KCODE64, 0x1234, 0);
	env_gate(e, 2, SYS_INT32, KCODE64, 0x2345, 1);
	event_deliver(v, external(0x80));
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 40);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, KDATA);
	ck_assert(v->rflags & RFLAGS_IF); /* trap gate */
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 24, 8), RFLAGS_IF | RFLAGS_FIXED);
	event_deliver(v, (struct event){.valid = true, .vector = 2, .type = EVENT_NMI});
	ck_assert_uint_eq(v->rip, 0x2345);
	ck_assert_uint_eq(v->reg[RSP], AT_IST - 40);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, KDATA); /* IST alone leaves SS */
	ck_assert(v->nmi_blocked);
	env_free(e);
}
END_TEST

/* The second time all accesses hit the TLB: the same frame by the short cuts. */
START_TEST(test_long_again)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	u64 frame[6];

	env_long(e, 3);
	env_gate(e, 13, SYS_INT32, KCODE64, 0x1234, 0);
	for (unsigned round = 0; round < 3; round++) {
		event_deliver(v, exception(13, 0x18));
		ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 48);
		for (unsigned k = 0; k < 6; k++) {
			u64 now = env_peek(e, AT_KSTACK - 8 * (k + 1), 8);

			ck_assert(round == 0 || now == frame[k]);
			frame[k] = now;
			env_poke(e, AT_KSTACK - 8 * (k + 1), 8, k == 5 ? 0 : now);
		}
		ck_assert_uint_eq(frame[5], 0x18);
		ck_assert_uint_eq(frame[4], AT_CODE);
		ck_assert_uint_eq(frame[1], AT_USTACK);
		v->reg[RSP] += 8;
		ck_assert_int_eq(iret_from(v, 8, 0), EXEC_JUMP);
		ck_assert_uint_eq(v->cpl, 3);
		ck_assert_uint_eq(v->rip, AT_CODE);
		ck_assert_uint_eq(v->reg[RSP], AT_USTACK);
	}
	env_free(e);
}
END_TEST

START_TEST(test_long_from_compat)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_compat(e, 3);
	env_gate(e, 0x80, SYS_INT32 | AR_DPL, KCODE64, 0xffffffff80001234, 0);
	event_deliver(v, soft(0x80));
	ck_assert_uint_eq(v->mode, MODE_64);
	ck_assert_uint_eq(v->rip, 0xffffffff80001234);
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 40);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 40, 8), AT_CODE + 2);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 32, 8), UCODE32);
	ck_assert_int_eq(iret_from(v, 8, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->mode, MODE_COMPAT);
	ck_assert_uint_eq(v->rip, AT_CODE + 2);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, UDATA);
	ck_assert_uint_eq(v->lin_mask, 0xffffffff);
	env_free(e);
}
END_TEST

/* What event_deliver_idt answers, with EXT for all but software interrupts. */
static void check_refused(struct env *e, struct event ev, u8 vector, u32 error)
{
	struct frozen before;

	env_freeze(e, &before);
	ck_fault(e, event_deliver_idt(e->v, &ev), vector, error);
	env_same(e, &before);
}

START_TEST(test_gate_faults)
{
	struct env *e = env_new();

	env_long(e, 3);
	env_gate(e, 0x80, SYS_INT32, KCODE64, 0x1234, 0);
	check_refused(e, soft(0x80), VEC_GP, 0x80 * 8 + 2);	/* gate DPL below CPL */
	check_refused(e, external(0x81), VEC_GP, 0x81 * 8 + 3); /* empty */
	env_gate(e, 0x82, SYS_TASK_GATE, SEL_TSS2, 0, 0);
	check_refused(e, external(0x82), VEC_GP, 0x82 * 8 + 3);
	env_gate(e, 0x83, SYS_INT32, KCODE64, 0, 0);
	env_poke(e, AT_IDT + 0x83 * 16 + 5, 1, SYS_INT32);
	check_refused(e, external(0x83), VEC_NP, 0x83 * 8 + 3);
	env_gate(e, 0x84, SYS_INT32, 0, 0, 0);
	check_refused(e, external(0x84), VEC_GP, 1);
	env_gate(e, 0x85, SYS_INT32, KDATA, 0, 0);
	check_refused(e, external(0x85), VEC_GP, KDATA | 1);
	env_gate(e, 0x86, SYS_INT32, KCODE32, 0, 0); /* not 64-bit code */
	check_refused(e, external(0x86), VEC_GP, KCODE32 | 1);
	env_gate(e, 0x87, SYS_INT32, KCODE64, 0x800000000000, 0);
	check_refused(e, external(0x87), VEC_GP, 1);
	env_gate(e, 0x88, SYS_INT32, KCODE64, 0x1234, 2);
	env_poke(e, AT_TSS + 0x2c, 8, 0x800000001000);
	check_refused(e, external(0x88), VEC_SS, 1);
	e->v->seg[SEG_TR].limit = 0x23;
	env_gate(e, 0x89, SYS_INT32, KCODE64, 0x1234, 1);
	check_refused(e, external(0x89), VEC_TS, SEL_TSS | 1);
	e->v->idtr.limit = 0x80 * 16 + 14;
	check_refused(e, external(0x80), VEC_GP, 0x80 * 8 + 3);
	env_long(e, 0);
	env_gate(e, 0x90, SYS_INT32, UCODE64 & ~3, 0, 0); /* outer level */
	check_refused(e, external(0x90), VEC_GP, (UCODE64 & ~3) | 1);
	env_free(e);
}
END_TEST

START_TEST(test_stack_page_fault)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_long(e, 3);
	env_gate(e, 0x80, SYS_INT32 | AR_DPL, KCODE64, 0x1234, 0);
	env_poke(e, AT_TSS + 4, 8, AT_HOLE + 20); /* the frame crosses into the hole */
	env_hole(e);
	check_refused(e, external(0x80), VEC_PF, 2);
	ck_assert_uint_eq(v->exc.cr2, AT_HOLE + 8);
	ck_assert_uint_eq(env_peek(e, AT_HOLE - 8, 8), 0); /* nothing was pushed */
	env_compat(e, 3);
	env_poke(e, AT_TSS + 4, 8, AT_HOLE + 20);
	check_refused(e, external(0x80), VEC_PF, 2);
	env_free(e);
}
END_TEST

/* Event, its handler's fault, what is delivered at last: SDM table "Conditions for Generating a
 * Double Fault". The nested fault is #NP or a #PF of the stack. */
START_TEST(test_escalation)
{
	static const struct {
		struct event first;
		bool page_fault; /* the nested one; else #NP */
		u8 last;
	} c[] = {
		{{.vector = 0x80, .type = EVENT_EXT_INT}, false, VEC_NP},
		{{.vector = 0x80, .type = EVENT_EXT_INT}, true, VEC_PF},
		{{.vector = VEC_GP, .type = EVENT_SW_INT}, false, VEC_NP},
		{{.vector = VEC_UD, .type = EVENT_HW_EXC}, false, VEC_NP},
		{{.vector = VEC_DE, .type = EVENT_HW_EXC}, false, VEC_DF},
		{{.vector = VEC_DE, .type = EVENT_HW_EXC}, true, VEC_PF},
		{{.vector = VEC_GP, .type = EVENT_HW_EXC, .has_error = true}, false, VEC_DF},
		{{.vector = VEC_PF, .type = EVENT_HW_EXC, .has_error = true}, false, VEC_DF},
		{{.vector = VEC_PF, .type = EVENT_HW_EXC, .has_error = true}, true, VEC_DF},
		{{.vector = VEC_AC, .type = EVENT_HW_EXC, .has_error = true}, false, VEC_NP},
	};
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_long(e, 0);
	for (unsigned k = 0; k < 32; k++)
		env_gate(e, (u8)k, SYS_INT32, KCODE64, 0x1000 + k, 0);
	if (c[_i].page_fault) {
		env_gate(e, c[_i].first.vector, SYS_INT32, KCODE64, 0, 2);
		env_poke(e, AT_TSS + 0x2c, 8, AT_HOLE + 0x100);
		env_hole(e);
	} else {
		env_gate(e, c[_i].first.vector, SYS_INT32, KCODE64, 0, 0);
		env_poke(e, AT_IDT + 16u * c[_i].first.vector + 5, 1, SYS_INT32);
	}
	event_deliver(v, c[_i].first);
	ck_assert_uint_eq(v->rip, 0x1000u + c[_i].last);
	if (c[_i].last == VEC_DF)
		ck_assert_uint_eq(env_peek(e, v->reg[RSP], 8), 0);
	if (c[_i].last == VEC_PF)
		ck_assert_uint_eq(v->cr2, AT_HOLE + 0x100 - 8);
	ck_assert_uint_eq(v->activity, ACT_ACTIVE);
	env_free(e);
}
END_TEST

START_TEST(test_triple_fault)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct frozen before;

	env_long(e, 3);
	env_freeze(e, &before);
	v->idtr.limit = 0;
	event_deliver(v, exception(VEC_GP, 0));
	ck_assert_uint_eq(v->activity, ACT_SHUTDOWN);
	ck_assert_uint_eq(v->stop_reason, STOP_TRIPLE_FAULT);
	env_same(e, &before);
	env_free(e);
}
END_TEST

START_TEST(test_prot_gates)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_prot(e, 3);
	v->rflags |= RFLAGS_IF | RFLAGS_TF;
	env_gate(e, 0x80, SYS_TRAP32 | AR_DPL, KCODE32, 0x654321, 0);
	event_deliver(v, soft(0x80));
	ck_assert_uint_eq(v->rip, 0x654321);
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 20);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, KDATA);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 4, 4), UDATA);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 12, 4), RFLAGS_IF | RFLAGS_TF | RFLAGS_FIXED);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 20, 4), AT_CODE + 2);
	ck_assert_uint_eq(v->rflags & (RFLAGS_IF | RFLAGS_TF), RFLAGS_IF);
	/* a 16-bit gate at the same level, with an error code */
	env_gate(e, 13, SYS_INT16, KCODE32, 0x1234, 0);
	event_deliver(v, exception(13, 0x5a));
	ck_assert_uint_eq(v->rip, 0x1234);
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 28);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 28, 2), 0x5a);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 26, 2), 0x4321);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 24, 2), KCODE32);
	ck_assert(!(v->rflags & RFLAGS_IF));
	/* the limit of the handler's segment */
	env_prot(e, 0);
	env_gate(e, 0x81, SYS_INT32, KCODE16, 0x10000, 0);
	check_refused(e, external(0x81), VEC_GP, 1);
	env_prot(e, 3);
	env_poke(e, AT_TSS + 8, 4, ABSENT_DATA);
	check_refused(e, soft(0x80), VEC_SS, ABSENT_DATA);
	check_refused(e, external(0x80), VEC_SS, ABSENT_DATA | 1);
	env_free(e);
}
END_TEST

START_TEST(test_real_mode)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_real(e);
	v->rflags |= RFLAGS_IF | RFLAGS_TF;
	env_poke(e, 4 * 0x21, 4, 0x12345678);
	v->reg[RSP] = 2; /* wraps between two pushes */
	event_deliver(v, soft(0x21));
	ck_assert_uint_eq(v->seg[SEG_CS].base, 0x12340);
	ck_assert_uint_eq(v->rip, 0x5678);
	ck_assert_uint_eq(v->reg[RSP], 0xfffc);
	ck_assert_uint_eq(env_peek(e, 0, 2), RFLAGS_IF | RFLAGS_TF | RFLAGS_FIXED);
	ck_assert_uint_eq(env_peek(e, 0xfffc, 2), AT_CODE + 2);
	ck_assert(!(v->rflags & (RFLAGS_IF | RFLAGS_TF)));
	env_real(e);
	v->idtr.limit = 4 * 0x21 + 2;
	check_refused(e, soft(0x21), VEC_GP, 0);
	ck_assert(!v->exc.has_error);
	env_free(e);
}
END_TEST

/* SDM table "Software Interrupt Handling Methods While in Virtual-8086 Mode". */
START_TEST(test_vme)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = {.imm = 0x21, .len = 2};

	for (unsigned method = 1; method <= 6; method++) {
		bool vme = method >= 3, high = method == 1 || method == 4 || method == 5;
		bool bit = method == 3 || method == 4;
		int r;

		env_vm86(e, high ? 3 : 0);
		v->rflags |= RFLAGS_IF | RFLAGS_VIF;
		v->cr4 = vme ? CR4_VME : 0;
		env_gate(e, 0x21, SYS_INT32 | AR_DPL, KCODE32, 0x4444, 0);
		env_poke(e, AT_TSS + 0x66, 2, 0x88);
		env_poke(e, AT_TSS + 0x68 + 0x21 / 8, 1, bit ? 1 << (0x21 & 7) : 0);
		env_poke(e, 4 * 0x21, 4, 0x02000066);
		r = x_int(v, &i);
		ck_assert_int_eq(r, EXEC_FAULT);
		if (method == 2 || method == 3) {
			ck_fault(e, r, VEC_GP, 0);
			continue;
		}
		event_deliver(v, v->exc);
		if (!vme || bit) {
			ck_assert_uint_eq(v->rip, 0x4444);
			ck_assert_uint_eq(v->mode, MODE_PROT);
			continue;
		}
		ck_assert_uint_eq(v->rip, 0x66);
		ck_assert_uint_eq(v->seg[SEG_CS].base, 0x2000);
		ck_assert_uint_eq(v->mode, MODE_VM86);
		ck_assert_uint_eq(v->reg[RSP], 0x800 - 6);
		ck_assert_uint_eq(env_peek(e, 0x1020 + 0x7fe, 2), 0x3202);
		ck_assert_uint_eq(env_peek(e, 0x1020 + 0x7fa, 2), 0x52);
		ck_assert_uint_eq(v->rflags & (RFLAGS_IF | RFLAGS_VIF),
				  high ? RFLAGS_VIF : RFLAGS_IF);
	}
	env_free(e);
}
END_TEST

START_TEST(test_debug_exception)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_long(e, 0);
	env_gate(e, 1, SYS_INT32, KCODE64, 0x1001, 0);
	v->dr6 = 0xffff0ff0 | 5;
	v->dr7 = 0x400 | BIT(13);
	raise_db(v, 2);
	v->watch = true;
	v->rflags |= RFLAGS_RF;
	event_deliver(v, v->exc);
	ck_assert_uint_eq(v->dr6, 0xffff0ff0 | 2);
	ck_assert_uint_eq(v->dr7, 0x400);
	/* an instruction breakpoint pushes RF as it was; general detect sets it */
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 24, 8), RFLAGS_RF | RFLAGS_FIXED);
	env_long(e, 0);
	raise_db(v, BIT(13));
	event_deliver(v, v->exc);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 24, 8), RFLAGS_RF | RFLAGS_FIXED);
	/* INT1 is not stopped by the gate's DPL, and pushes the next address */
	env_long(e, 3);
	raise_soft(v, 1, EVENT_PRIV_SW_EXC, 1);
	event_deliver(v, v->exc);
	ck_assert_uint_eq(v->rip, 0x1001);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 40, 8), AT_CODE + 1);
	env_free(e);
}
END_TEST

START_TEST(test_injection)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_long(e, 0);
	env_gate(e, 14, SYS_INT32, KCODE64, 0x100e, 0);
	v->cr2 = 0x77;
	v->inject = exception(14, 2);
	v->inject.cr2 = 0x1234;
	event_inject(v);
	ck_assert(!v->inject.valid);
	ck_assert_uint_eq(v->rip, 0x100e);
	ck_assert_uint_eq(v->cr2, 0x77);
	env_free(e);
}
END_TEST

TCase *seg_event_case(void)
{
	TCase *t = tcase_create("events");

	tcase_add_test(t, test_long_from_user);
	tcase_add_test(t, test_long_same_level);
	tcase_add_test(t, test_long_again);
	tcase_add_test(t, test_long_from_compat);
	tcase_add_test(t, test_gate_faults);
	tcase_add_test(t, test_stack_page_fault);
	tcase_add_loop_test(t, test_escalation, 0, 10);
	tcase_add_test(t, test_triple_fault);
	tcase_add_test(t, test_prot_gates);
	tcase_add_test(t, test_real_mode);
	tcase_add_test(t, test_vme);
	tcase_add_test(t, test_debug_exception);
	tcase_add_test(t, test_injection);
	return t;
}
