/*
 * ELF executables, 32 and 64 bits, loaded by physical address. Every offset and size comes from the
 * file and is checked against the file and RAM. System V ABI, "Program Loading".
 */
#include "machine/loader.h"

struct segment {
	u32 type;
	u64 offset, paddr, filesz, memsz;
};

bool elf_is(const struct blob *b)
{
	return b->size >= 52 && load_le32(b->data) == 0x464c457f &&
	       (b->data[4] == 1 || b->data[4] == 2) && b->data[5] == 1;
}

static bool is64(const struct blob *b)
{
	return b->data[4] == 2;
}

/* Program header k; false if it does not lie in the file. */
static bool program_header(const struct blob *b, unsigned k, struct segment *s)
{
	u64 phoff = is64(b) ? load_le64(b->data + 32) : load_le32(b->data + 28);
	u64 size = is64(b) ? load_le16(b->data + 54) : load_le16(b->data + 42),
	    need = is64(b) ? 56 : 32;
	const u8 *p;

	if (size < need || phoff > b->size || b->size - phoff < size * (k + 1ull))
		return false;
	p = b->data + phoff + size * k;
	s->type = load_le32(p);
	if (is64(b)) {
		s->offset = load_le64(p + 8);
		s->paddr = load_le64(p + 24);
		s->filesz = load_le64(p + 32);
		s->memsz = load_le64(p + 40);
	} else {
		s->offset = load_le32(p + 4);
		s->paddr = load_le32(p + 12);
		s->filesz = load_le32(p + 16);
		s->memsz = load_le32(p + 20);
	}
	return s->offset <= b->size && s->filesz <= b->size - s->offset;
}

static unsigned header_count(const struct blob *b)
{
	return load_le16(b->data + (is64(b) ? 56 : 44));
}

bool elf_load(struct loader *l, u64 *entry)
{
	const struct blob *b = &l->kernel;
	bool any = false;

	if (is64(b) && b->size < 64)
		return loader_fail(l, "kernel", l->name, "is truncated");
	for (unsigned k = 0; k < header_count(b); k++) {
		struct segment s;

		if (!program_header(b, k, &s))
			return loader_fail(l, "kernel", l->name,
					   "has a program header outside the file");
		if (s.type != 1 || !s.memsz)
			continue;
		if (s.memsz < s.filesz || !loader_zero(l, s.paddr, s.memsz) ||
		    !loader_copy(l, s.paddr, b->data + s.offset, s.filesz))
			return loader_fail(l, "kernel", l->name,
					   "has a segment outside memory (-m)");
		if (s.paddr + s.memsz > l->top)
			l->top = s.paddr + s.memsz;
		any = true;
	}
	*entry = is64(b) ? load_le64(b->data + 24) : load_le32(b->data + 24);
	return any || loader_fail(l, "kernel", l->name, "has nothing to load");
}

#define NOTE_PVH_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */

static u32 find_note(const u8 *p, u64 len)
{
	while (len >= 12) {
		u64 name = ((u64)load_le32(p) + 3) & ~3ull,
		    desc = ((u64)load_le32(p + 4) + 3) & ~3ull;

		if (name > len - 12 || desc > len - 12 - name)
			return 0;
		if (load_le32(p + 8) == NOTE_PVH_ENTRY && name == 4 && !memcmp(p + 12, "Xen", 4) &&
		    desc >= 4)
			return load_le32(p + 12 + name);
		p += 12 + name + desc;
		len -= 12 + name + desc;
	}
	return 0;
}

u32 elf_pvh_entry(const struct blob *b)
{
	for (unsigned k = 0; k < header_count(b); k++) {
		struct segment s;

		if (program_header(b, k, &s) && s.type == 4) {
			u32 entry = find_note(b->data + s.offset, s.filesz);

			if (entry)
				return entry;
		}
	}
	return 0;
}
