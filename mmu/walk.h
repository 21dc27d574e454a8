/*
 * Page walks as pure functions: parameters in, translation or fault out, nothing raised inside.
 * SDM "Paging", "The Extended Page Table Mechanism (EPT)".
 */
#ifndef MMU_WALK_H
#define MMU_WALK_H

#include "base/types.h"
#include "mmu/physmem.h"

enum access {
	ACCESS_READ = 1,
	ACCESS_WRITE = 2,
	ACCESS_FETCH = 4,
};

/* What the walk depends on. Rebuilt by the vCPU when a control register or mode changes. */
struct walk_env {
	struct physmem *mem;
	struct tlb *tlb; /* for the EPT cache */
	u64 cr0, cr3, cr4, efer;
	u64 pdpte[4];	   /* PAE paging: the four PDPTE registers */
	u64 eptp;	   /* 0: no EPT */
	u64 reserved_phys; /* address bits at and above MAXPHYADDR, up to 51 */
	u32 pkru, pkrs;	   /* IA32_PKRS: rights to supervisor-mode addresses */
	bool nx, page1g;   /* EFER.NXE in force; 1-GByte pages supported */
	bool ept_exec_only, ept_ad;
};

/* One access. user: CPL 3 and not implicit. ac: explicit supervisor access with RFLAGS.AC = 1.
 * shadow: to a shadow stack. */
struct walk_in {
	u64 laddr;
	u8 access; /* enum access; WRITE may be combined with READ */
	bool user, implicit, ac, shadow;
};

enum walk_status {
	WALK_OK,
	WALK_PAGE_FAULT,
	WALK_EPT_VIOLATION,
	WALK_EPT_MISCONFIG,
};

struct walk_out {
	enum walk_status status;
	u64 paddr;	   /* OK: physical address */
	u64 gpa;	   /* guest-physical address (equals paddr without EPT) */
	bool writable;	   /* OK: a later store needs no walk: rights and dirty bits allow it */
	u8 info;	   /* enum tlb_info bits: global, large */
	u32 error_code;	   /* PAGE_FAULT */
	u64 qualification; /* EPT_VIOLATION: bits 0-8 of the exit qualification */
};

/* Translates one linear address and sets accessed and dirty flags as the SDM says. Paging may be
 * off (laddr is then the guest-physical address). */
enum walk_status paging_walk(const struct walk_env *e, const struct walk_in *in,
			     struct walk_out *out);

/* Guest-physical to physical through e->eptp. access as enum access; for_walk: the access is to a
 * guest paging structure (qualification bit 8 clear, write rules of EPT A/D). */
enum walk_status ept_walk(const struct walk_env *e, u64 gpa, u8 access, bool for_walk,
			  struct walk_out *out);

#endif
