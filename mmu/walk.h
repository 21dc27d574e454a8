/*
 * Page walks as pure functions: parameters in, translation or fault out, nothing raised inside.
 * SDM "Paging", "The Extended Page Table Mechanism (EPT)".
 */
#ifndef MMU_WALK_H
#define MMU_WALK_H

#include "base/bits.h"
#include "base/types.h"
#include "mmu/physmem.h"

enum access {
	ACCESS_READ = 1,
	ACCESS_WRITE = 2,
	ACCESS_FETCH = 4,
};

/* What an EPT walk depends on besides the EPTP: what this CPU has, and controls of the VMCS. The
 * second kind is part of the tag of cached translations. */
enum ept_mode {
	EPT_EXEC_ONLY = 1, /* execute-only translations */
	EPT_PAGE_2M = 2,
	EPT_PAGE_1G = 4,
	EPT_ADVANCED = 8,	 /* bits 9-11 of the exit qualification */
	EPT_USER_EXECUTE = 16,	 /* mode-based execute control: bit 10 */
	EPT_SUB_PAGE = 32,	 /* sub-page write permissions: bit 61 */
	EPT_PAGING_WRITE = 64,	 /* paging-write control: bit 58 */
	EPT_VERIFY_PAGING = 128, /* guest-paging verification: bit 57 */
	EPT_HLAT = 256,		 /* only in tags */
};
#define EPT_MODE_CONTROLS                                                                          \
	(EPT_USER_EXECUTE | EPT_SUB_PAGE | EPT_PAGING_WRITE | EPT_VERIFY_PAGING | EPT_HLAT)

#define EPTP_AD BIT(6)
#define EPTP_SSS BIT(7) /* supervisor shadow-stack control */
#define EPTP_LEVELS(eptp) (((eptp) >> 3 & 7) + 1)
/* The part of an EPTP that INVEPT goes by (EP4TA). */
#define EPTP_ADDRESS 0x000ffffffffff000ull

/* The tag of what is cached of an EPT: never 0, as an EPTP has its walk length. */
static inline u64 ept_tag(u64 eptp, u32 mode)
{
	return eptp | (u64)(mode & EPT_MODE_CONTROLS) << 52;
}

/* What the walk depends on. Rebuilt by the vCPU when a control register or mode changes. */
struct walk_env {
	struct physmem *mem;
	struct tlb *tlb; /* for the EPT cache */
	u64 cr0, cr3, cr4, efer;
	u64 pdpte[4];	   /* PAE paging: the four PDPTE registers */
	u64 eptp;	   /* 0: no EPT */
	u64 apic_access;   /* with bit 0: page that no table may lie in; 0: none */
	u64 ept_tag;	   /* of eptp and ept_mode */
	u64 sppt;	   /* sub-page-permission-table pointer */
	u64 pml_address;   /* page-modification log */
	u16 *pml_index;	   /* NULL: no page-modification logging */
	u64 hlatp;	   /* hypervisor-managed linear-address translation pointer */
	u64 reserved_phys; /* address bits at and above MAXPHYADDR, up to 51 */
	u32 pkru, pkrs;	   /* IA32_PKRS: rights to supervisor-mode addresses */
	u32 ept_mode;	   /* enum ept_mode */
	bool nx, page1g;   /* EFER.NXE in force; 1-GByte pages supported */
	bool hlat;	   /* HLAT paging for addresses whose upper hlat_prefix bits are all 1 */
	u8 hlat_prefix;
};

/* One access. user: CPL 3 and not implicit. ac: explicit supervisor access with RFLAGS.AC = 1.
 * shadow: to a shadow stack. */
struct walk_in {
	u64 laddr;
	u8 access; /* enum access; WRITE may be combined with READ */
	bool user, implicit, ac, shadow;
	u16 bytes; /* within the page; 0 counts as 1 (sub-page write permissions) */
};

enum walk_status {
	WALK_OK,
	WALK_PAGE_FAULT,
	WALK_EPT_VIOLATION,
	WALK_EPT_MISCONFIG,
	WALK_APIC_ACCESS, /* a paging structure lies in the APIC-access page */
	WALK_PML_FULL,
	WALK_SPP_MISS,
	WALK_SPP_MISCONFIG,
};

/* What the entries of an EPT give, all of them ANDed; the last three are of the leaf alone, but
 * that SSS wants reads everywhere and writes above the leaf. */
enum ept_right {
	EPT_R = 1,
	EPT_W = 2,
	EPT_X = 4,    /* with mode-based execute control: supervisor-mode linear addresses */
	EPT_XU = 8,   /* user-mode linear addresses; 0 without that control */
	EPT_PW = 16,  /* paging writes */
	EPT_VGP = 32, /* verify guest paging */
	EPT_SSS = 64  /* supervisor shadow-stack accesses */
};

struct walk_out {
	enum walk_status status;
	u64 paddr;	   /* OK: physical address */
	u64 gpa;	   /* guest-physical address (equals paddr without EPT) */
	bool writable;	   /* OK: a later store needs no walk: rights and dirty bits allow it */
	u8 info;	   /* enum tlb_info bits: global, large */
	u8 rights;	   /* enum ept_right, of the last EPT walk */
	bool suppress_ve;  /* EPT_VIOLATION: not convertible into a virtualization exception */
	bool large;	   /* EPT_VIOLATION: of a large page, by paging and by EPT */
	u32 error_code;	   /* PAGE_FAULT */
	u64 qualification; /* EPT_VIOLATION: exit qualification as if there were a linear address */
};

/* Translates one linear address and sets accessed and dirty flags as the SDM says. Paging may be
 * off (laddr is then the guest-physical address). */
enum walk_status paging_walk(const struct walk_env *e, const struct walk_in *in,
			     struct walk_out *out);

/* What a guest-physical address is accessed for. */
enum ept_use {
	EPT_DATA,   /* the translation of a linear address */
	EPT_WALK,   /* a guest paging structure: a write, with accessed and dirty flags for EPT */
	EPT_PDPTES, /* loading the PDPTE registers: a read, and no linear address */
};

struct ept_in {
	u64 gpa;
	u8 access;     /* enum access */
	u8 use;	       /* enum ept_use */
	bool user;     /* DATA: a user-mode linear address */
	bool shadow;   /* DATA: a shadow-stack access */
	bool verified; /* DATA: all guest paging structures used allow paging writes */
	u16 bytes;     /* as in struct walk_in */
};

/* Guest-physical to physical through e->eptp. */
enum walk_status ept_walk(const struct walk_env *e, const struct ept_in *in, struct walk_out *out);

/* spp.c: whether a write of `bytes` bytes goes only to 128-byte sub-pages that allow it: WALK_OK,
 * WALK_EPT_VIOLATION (only the status; nothing is written to an out), or an SPP-related event. */
enum walk_status spp_walk(const struct walk_env *e, u64 gpa, unsigned bytes);

/* pml.c: page-modification logging. */
static inline bool pml_full(const struct walk_env *e)
{
	return *e->pml_index > 511;
}
void pml_log(const struct walk_env *e, u64 gpa);

#endif
