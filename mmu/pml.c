/*
 * Page-modification logging: the guest-physical page of every write that sets a dirty flag of EPT.
 * SDM "Page-Modification Logging". Whether the log is full is asked before any flag is changed.
 */
#include "mmu/walk.h"

void pml_log(const struct walk_env *e, u64 gpa)
{
	u64 at = e->pml_address + 8u * *e->pml_index;
	u8 *p = physmem_ptr(e->mem, at);

	(*e->pml_index)--;
	if (!p)
		return; /* no RAM there: the entry is lost, as any write is */
	store_le64(p, gpa & PAGE_MASK);
	if (*physmem_flags(e->mem, p) & PAGE_CODE)
		e->mem->code_written(e->mem->code_owner, at, 8);
}
