/*
 * The command line, CPU models, names that were meant, and disk images: what can be tested without
 * starting a machine.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "frontend/block/disk.h"
#include "frontend/cli.h"

Suite *frontend_suite(void);

#define ARGS(...) ((char *[]){(char *)"gigogne", __VA_ARGS__, NULL})

static struct cli cli;
static struct settings set;

static bool parse(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	cli_free(&cli);
	return cli_parse(&cli, &set, argc, argv);
}

/* Refused, and the message has this text in it. */
static void refused(char **argv, const char *text)
{
	ck_assert(!parse(argv));
	ck_assert_msg(strstr(cli.err, text), "'%s' is not in '%s'", text, cli.err);
	ck_assert_msg(!strchr(cli.err, '\n'), "more than one line");
}

START_TEST(sizes)
{
	ck_assert(parse(ARGS("-m", "512", "-demo", "nest")));
	ck_assert_uint_eq(set.ram, 512ull << 20);
	ck_assert(parse(ARGS("-m", "3G", "-demo", "nest")));
	ck_assert_uint_eq(set.ram, 3ull << 30);
	ck_assert(parse(ARGS("-m", "size=2048k", "-demo", "nest")));
	ck_assert_uint_eq(set.ram, 2ull << 20);
	refused(ARGS("-m", "0", "-demo", "nest"), "1M");
	refused(ARGS("-m", "12q", "-demo", "nest"), "'12q' is not a size");
	refused(ARGS("-m", "", "-demo", "nest"), "is not a size");
	refused(ARGS("-m", "-5", "-demo", "nest"), "is not a size");
	refused(ARGS("-m", "99999999999999999999G", "-demo", "nest"), "-m");
	refused(ARGS("-m", "17592186044416M", "-demo", "nest"), "1024G");
}
END_TEST

START_TEST(processors)
{
	ck_assert(parse(ARGS("-smp", "4", "-demo", "nest")));
	ck_assert_uint_eq(set.cpus, 4);
	ck_assert(parse(ARGS("-smp", "cpus=16", "-demo", "nest")));
	ck_assert_uint_eq(set.cpus, MACHINE_MAX_CPUS);
	refused(ARGS("-smp", "17", "-demo", "nest"), "1 to 16");
	refused(ARGS("-smp", "0", "-demo", "nest"), "1 to 16");
	refused(ARGS("-smp", "two", "-demo", "nest"), "not a number");
}
END_TEST

START_TEST(unknown_options_name_the_nearest)
{
	refused(ARGS("-nographi"), "'-nographic'");
	refused(ARGS("--hash-evry", "3"), "'-hash-every'");
	refused(ARGS("-kernel"), "needs an argument");
	refused(ARGS("disk.img"), "-drive file=disk.img");
	refused(ARGS("-device", "virtio-rgn-pci"), "'virtio-rng-pci'");
	refused(ARGS("-device", "isa-debug-exit,iobas=0xf4"), "'iobase'");
	refused(ARGS("-d", "exist"), "'exits'");
	refused(ARGS("-serial", "stdoi"), "'stdio'");
	refused(ARGS("-accel", "kvm"), "not built");
	refused(ARGS("-nic", "user"), "not built");
}
END_TEST

START_TEST(what_does_not_fit_together)
{
	refused(ARGS("-m", "64"), "nothing to boot");
	refused(ARGS("-initrd", "x"), "nothing to boot");
	refused(ARGS("-kernel", "a", "-kernel", "b"), "given twice");
	refused(ARGS("-kernel", "a", "-demo", "nest"), "-demo");
	refused(ARGS("-demo", "nest", "-serial", "stdio", "-serial", "mon:stdio"), "stdio");
	refused(ARGS("-demo", "nest", "-drive", "file=x,if=none,id=a"), "used by no -device");
	refused(ARGS("-demo", "nest", "-drive", "file=x,if=none"), "needs id=");
	refused(ARGS("-demo", "nest", "-device", "nvme,drive=a"), "no -drive before it");
	refused(ARGS("-demo", "nest,depth=13"), "1 to 12");
	refused(ARGS("-demo", "nets"), "'nest'");
}
END_TEST

START_TEST(devices_and_drives)
{
	ck_assert(parse(ARGS("-demo", "nest", "-drive", "file=a,,b,if=none,id=d0", "-device",
			     "virtio-blk-pci,drive=d0,serial=S", "-drive", "file=c,readonly=on",
			     "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-device",
			     "virtio-rng-pci")));
	ck_assert_uint_eq(set.drives, 2);
	ck_assert_str_eq(set.drive[0].file, "a,b");
	ck_assert_str_eq(set.drive[0].serial, "S");
	ck_assert_int_eq(set.drive[0].interface, IF_VIRTIO);
	ck_assert_int_eq(set.drive[1].interface, IF_NVME);
	ck_assert(set.drive[1].read_only && !set.drive[1].snapshot);
	ck_assert_uint_eq(set.debug_exit_base, 0xf4);
	ck_assert_uint_eq(set.debug_exit_size, 4);
	ck_assert(set.rng && !set.pvpanic);
}
END_TEST

START_TEST(consoles)
{
	ck_assert(parse(ARGS("-demo", "nest")));
	ck_assert_int_eq(set.serial[0].kind, STREAM_STDIO);
	ck_assert(set.serial[0].monitor);
	ck_assert(parse(ARGS("-demo", "nest", "-nodefaults")));
	ck_assert_uint_eq(set.serials, 0);
	ck_assert(parse(ARGS("-demo", "nest", "-serial", "null", "-serial", "file:out")));
	ck_assert_int_eq(set.serial[0].kind, STREAM_NULL);
	ck_assert_int_eq(set.serial[1].kind, STREAM_FILE);
	ck_assert_str_eq(set.serial[1].path, "out");
	ck_assert(parse(ARGS("-demo", "nest", "-chardev", "stdio,id=s,mux=on", "-device",
			     "virtconsole,chardev=s")));
	ck_assert_int_eq(set.virtconsole.kind, STREAM_STDIO);
	ck_assert_uint_eq(set.serials, 0);
}
END_TEST

START_TEST(limits_and_dates)
{
	ck_assert(parse(ARGS("-demo", "nest", "--timeout", "3", "--max-insns", "1000", "-rtc",
			     "base=2026-01-31T12:00:00")));
	ck_assert_uint_eq(set.timeout_ms, 3000);
	ck_assert_uint_eq(set.max_insns, 1000);
	ck_assert_int_eq(set.epoch, 1769860800);
	refused(ARGS("-rtc", "base=soon"), "soon");
	refused(ARGS("-rtc", "utc"), "base=");
	refused(ARGS("-timeout", "0"), "is not from 1");
	refused(ARGS("-gdb", "unix:x"), "tcp::PORT");
	refused(ARGS("-gdb", "tcp::70000"), "65535");
}
END_TEST

/* --- CPU models --- */

static struct cpu_model model;
static struct vmx_model_mask mask;
static char err[256];

static bool cpu(const char *arg)
{
	return cpu_model_parse(&model, &mask, arg, err, sizeof(err));
}

START_TEST(models)
{
	ck_assert(cpu("max"));
	ck_assert(model_has(&model, FEAT_VMX) && model_has(&model, FEAT_AVX2));
	ck_assert_uint_eq(model.maxphyaddr, 46);
	ck_assert(cpu("base"));
	ck_assert(!model_has(&model, FEAT_VMX) && !model_has(&model, FEAT_AVX));
	ck_assert(model_has(&model, FEAT_SSE42) && model_has(&model, FEAT_LM));
	ck_assert_uint_eq(model.maxphyaddr, 40);
	ck_assert(!cpu("mx") && strstr(err, "'max'"));
	ck_assert(!cpu("") && strstr(err, "nearest"));
}
END_TEST

START_TEST(features)
{
	ck_assert(cpu("max,-avx2,vmx=off,+la57,smep"));
	ck_assert(!model_has(&model, FEAT_AVX2) && !model_has(&model, FEAT_VMX));
	ck_assert(model_has(&model, FEAT_LA57) && model_has(&model, FEAT_SMEP));
	ck_assert(cpu("base,+vmx") && model_has(&model, FEAT_VMX));
	ck_assert(!cpu("max,+avx3") && strstr(err, "'avx3'") && strstr(err, "'avx'"));
	ck_assert(!cpu("max,vmx=maybe"));
	ck_assert(cpu("max,phys-bits=36") && model.maxphyaddr == 36);
	ck_assert(!cpu("max,phys-bits=31") && strstr(err, "32 to 52"));
	ck_assert(!cpu("max,phys-bits=53") && !cpu("max,phys-bits=3x") && !cpu("max,phys-bits="));
	ck_assert(!cpu("max,phys-bits=4294967332"));
	ck_assert(!cpu("max,,") && strstr(err, "empty"));
	ck_assert(!cpu("max,+") && strstr(err, "empty"));
}
END_TEST

START_TEST(what_depends_on_a_feature_goes_with_it)
{
	ck_assert(cpu("max,-xsave"));
	ck_assert(!model_has(&model, FEAT_AVX) && !model_has(&model, FEAT_AVX2));
	ck_assert(!model_has(&model, FEAT_XSAVES) && model_has(&model, FEAT_SSE42));
	ck_assert(!cpu("max,-xsave,+avx2") && strstr(err, "needs"));
}
END_TEST

START_TEST(vmx_controls)
{
	ck_assert(cpu("max"));
	ck_assert(mask.control[VMX_PROC2] & VMX_MASK(PROC2_ENABLE_EPT));
	ck_assert(cpu("max,vmx-ept=off"));
	ck_assert(!(mask.control[VMX_PROC2] & VMX_MASK(PROC2_ENABLE_EPT)));
	ck_assert(!(mask.control[VMX_PROC2] & VMX_MASK(PROC2_UNRESTRICTED_GUEST)));
	ck_assert(mask.control[VMX_PROC2] & VMX_MASK(PROC2_ENABLE_VPID));
	ck_assert(!cpu("max,vmx-etp=off") && strstr(err, "'vmx-ept'"));
}
END_TEST

START_TEST(nearest_names)
{
	struct nearest n;

	nearest_init(&n, "exist", 5);
	ck_assert_ptr_null(n.best);
	nearest_offer(&n, "insn");
	nearest_offer(&n, "exits"); /* a swap of neighbours and of their neighbours */
	nearest_offer(&n, "x");
	ck_assert_str_eq(n.best, "exits");
	nearest_init(&n, "", 0);
	nearest_offer(&n, "abc");
	nearest_offer(&n, "a");
	ck_assert_str_eq(n.best, "a");
}
END_TEST

/* --- disks --- */

static char path[] = "/tmp/gigogne-test-XXXXXX";

static void make_file(size_t size)
{
	static const char template[] = "/tmp/gigogne-test-XXXXXX";
	u8 byte;
	int fd;

	memcpy(path, template, sizeof(template));
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < size; i++) {
		byte = (u8)(i / 512 + 1);
		ck_assert_int_eq(write(fd, &byte, 1), 1);
	}
	close(fd);
}

static u8 byte_at(const struct disk *d, u64 offset)
{
	u8 sector[512];

	ck_assert_int_eq(d->block.read(d->block.owner, offset & ~511ull, sector, 512), 0);
	return sector[offset & 511];
}

START_TEST(raw_disk)
{
	u8 ones[512];
	struct disk d, again;

	memset(ones, 0xee, sizeof(ones));
	make_file(3 * 512 + 7);
	ck_assert_msg(disk_open(&d, path, false, false, err, sizeof(err)), "%s", err);
	ck_assert_uint_eq(d.block.size, 4 * 512);
	ck_assert_uint_eq(byte_at(&d, 512), 2);
	ck_assert_uint_eq(byte_at(&d, 3 * 512 + 6), 4);
	ck_assert_uint_eq(byte_at(&d, 3 * 512 + 7), 0);
	ck_assert_int_eq(d.block.write(d.block.owner, 512, ones, 512), 0);
	ck_assert_int_eq(d.block.flush(d.block.owner), 0);
	ck_assert_uint_eq(byte_at(&d, 1023), 0xee);
	ck_assert_uint_eq(byte_at(&d, 1024), 3);
	ck_assert(!disk_open(&again, path, false, false, err, sizeof(err)));
	ck_assert_msg(strstr(err, "in use"), "%s", err);
	disk_close(&again);
	disk_close(&d);
	unlink(path);
}
END_TEST

START_TEST(snapshot_disk)
{
	u8 ones[1024];
	struct disk d;

	memset(ones, 0xee, sizeof(ones));
	make_file(20 * 512);
	ck_assert(disk_open(&d, path, false, true, err, sizeof(err)));
	ck_assert_int_eq(d.block.write(d.block.owner, 7 * 512, ones, 1024), 0); /* two clusters */
	ck_assert_uint_eq(byte_at(&d, 6 * 512), 7);
	ck_assert_uint_eq(byte_at(&d, 7 * 512), 0xee);
	ck_assert_uint_eq(byte_at(&d, 8 * 512), 0xee);
	ck_assert_uint_eq(byte_at(&d, 9 * 512), 10);
	ck_assert_uint_eq(byte_at(&d, 17 * 512), 18);
	disk_close(&d);
	ck_assert(disk_open(&d, path, true, false, err, sizeof(err)));
	ck_assert(d.block.read_only);
	ck_assert_uint_eq(byte_at(&d, 7 * 512), 8);
	disk_close(&d);
	unlink(path);
}
END_TEST

START_TEST(bad_disks)
{
	struct disk d;

	make_file(0);
	ck_assert(!disk_open(&d, path, false, false, err, sizeof(err)) && strstr(err, "empty"));
	disk_close(&d);
	unlink(path);
	ck_assert(!disk_open(&d, path, false, false, err, sizeof(err)) && strstr(err, "No such"));
	disk_close(&d);
	ck_assert(!disk_open(&d, "/tmp", true, false, err, sizeof(err)));
	ck_assert_msg(strstr(err, "directory"), "%s", err);
	disk_close(&d);
	ck_assert(!disk_open(&d, "/dev/zero", true, false, err, sizeof(err)));
	disk_close(&d);
}
END_TEST

static void add_case(Suite *s, const char *name, const TTest *const *tests, size_t n)
{
	TCase *t = tcase_create(name);

	for (size_t i = 0; i < n; i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
}

Suite *frontend_suite(void)
{
	Suite *s = suite_create("frontend");
	const TTest *const line[] = {sizes,
				     processors,
				     unknown_options_name_the_nearest,
				     what_does_not_fit_together,
				     devices_and_drives,
				     consoles,
				     limits_and_dates,
				     nearest_names};
	const TTest *const cpus[] = {models, features, what_depends_on_a_feature_goes_with_it,
				     vmx_controls};
	const TTest *const disks[] = {raw_disk, snapshot_disk, bad_disks};

	add_case(s, "command line", line, ARRAY_SIZE(line));
	add_case(s, "cpu models", cpus, ARRAY_SIZE(cpus));
	add_case(s, "disks", disks, ARRAY_SIZE(disks));
	return s;
}
