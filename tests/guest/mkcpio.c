// Writes an initramfs archive: `mkcpio ROOT < MANIFEST > ARCHIVE`.
//
// Models the "newc" cpio format of Linux's "initramfs buffer format" document. Every owner is
// root, every time is zero and inode numbers count up, so that the same manifest and files give
// the same bytes on any host and also inside the guest, which makes its own guest's initramfs
// with this program. Device nodes need no privilege because none is ever made in a file system.
//
// Manifest lines, paths without spaces, parents before children:
//   dir MODE PATH | file MODE PATH | slink TARGET PATH | nod MODE MAJOR MINOR PATH
// A file is read from ROOT/PATH. Left out: hard links, checksums, sockets, files beyond 4 GiB.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TYPE_DIR = 0040000, TYPE_FILE = 0100000, TYPE_LINK = 0120000, TYPE_CHAR = 0020000 };

struct entry {
	const char *path;
	unsigned inode, mode, nlink, major, minor;
	unsigned long size;
};

static void fail(const char *what, const char *name)
{
	fprintf(stderr, "mkcpio: %s: %s\n", what, name);
	exit(1);
}

static void pad(unsigned long written)
{
	while (written++ % 4 != 0)
		putchar(0);
}

static void put_header(const struct entry *e)
{
	const char *path = e->path[0] == '/' ? e->path + 1 : e->path;
	unsigned long name_size = strlen(path) + 1;

	printf("070701%08X%08X%08X%08X%08X%08X%08lX%08X%08X%08X%08X%08lX%08X%s", e->inode, e->mode,
	       0U, 0U, e->nlink, 0U, e->size, 0U, 0U, e->major, e->minor, name_size, 0U, path);
	putchar(0);
	pad(110 + name_size);
}

static void put_file(const char *root, const char *path, unsigned inode, unsigned mode)
{
	char name[4096], buffer[65536];
	struct entry e = {path, inode, TYPE_FILE | mode, 1, 0, 0, 0};
	struct stat status;
	unsigned long left;
	FILE *file;

	snprintf(name, sizeof(name), "%s/%s", root, path);
	file = fopen(name, "rb");
	if (!file || fstat(fileno(file), &status) != 0)
		fail("cannot open", name);
	e.size = left = (unsigned long)status.st_size;
	put_header(&e);
	while (left > 0) {
		size_t want = left < sizeof(buffer) ? left : sizeof(buffer);
		size_t got = fread(buffer, 1, want, file);

		if (got == 0)
			fail("file became shorter", name);
		fwrite(buffer, 1, got, stdout);
		left -= got;
	}
	fclose(file);
	pad(e.size);
}

static void put_link(const char *path, unsigned inode, const char *target)
{
	struct entry e = {path, inode, TYPE_LINK | 0777, 1, 0, 0, strlen(target)};

	put_header(&e);
	fputs(target, stdout);
	pad(e.size);
}

static void put_line(const char *root, unsigned inode, char *line)
{
	char a[1024], b[1024];
	struct entry e = {.path = b, .inode = inode, .nlink = 1};
	unsigned mode;

	if (sscanf(line, "file %o %1023s", &mode, b) == 2) {
		put_file(root, b, inode, mode);
	} else if (sscanf(line, "dir %o %1023s", &mode, b) == 2) {
		e.mode = TYPE_DIR | mode;
		e.nlink = 2;
		put_header(&e);
	} else if (sscanf(line, "slink %1023s %1023s", a, b) == 2) {
		put_link(b, inode, a);
	} else if (sscanf(line, "nod %o %u %u %1023s", &mode, &e.major, &e.minor, b) == 4) {
		e.mode = TYPE_CHAR | mode;
		put_header(&e);
	} else {
		line[strcspn(line, "\n")] = 0;
		fail("bad manifest line", line);
	}
}

int main(int argc, char **argv)
{
	static const struct entry trailer = {.path = "TRAILER!!!", .nlink = 1};
	char line[2200];
	unsigned inode = 1;

	if (argc != 2) {
		fputs("usage: mkcpio ROOT < MANIFEST > ARCHIVE\n", stderr);
		return 2;
	}
	while (fgets(line, sizeof(line), stdin))
		put_line(argv[1], inode++, line);
	put_header(&trailer);
	if (fflush(stdout) != 0 || ferror(stdout))
		fail("cannot write", "standard output");
	return 0;
}
