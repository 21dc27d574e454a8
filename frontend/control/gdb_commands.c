/*
 * The packets of the gdb protocol. A packet that makes no sense is answered E01, one that is not
 * known with an empty reply, as the protocol asks.
 */
#include <stdlib.h>

#include "frontend/control/gdb_internal.h"

/* --- reading a packet --- */

struct cursor {
	const char *p, *end;
};

static bool next_is(struct cursor *c, char ch)
{
	if (c->p < c->end && *c->p == ch) {
		c->p++;
		return true;
	}
	return false;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool hex_number(struct cursor *c, u64 *value)
{
	const char *start = c->p;

	*value = 0;
	while (c->p < c->end && digit_of(*c->p) >= 0 && c->p - start < 16)
		*value = *value << 4 | (unsigned)digit_of(*c->p++);
	return c->p > start;
}

static bool hex_byte(struct cursor *c, u8 *value)
{
	if (c->end - c->p < 2 || digit_of(c->p[0]) < 0 || digit_of(c->p[1]) < 0)
		return false;
	*value = (u8)(digit_of(c->p[0]) << 4 | digit_of(c->p[1]));
	c->p += 2;
	return true;
}

static bool starts(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(c->end - c->p) < n || strncmp(c->p, word, n))
		return false;
	c->p += n;
	return true;
}

/* A thread: its number, 0 for any, -1 for all. False: nonsense. */
static bool thread(struct cursor *c, int *cpu, const struct gdbstub *g)
{
	u64 n;

	if (starts(c, "-1")) {
		*cpu = -1;
		return true;
	}
	if (!hex_number(c, &n) || n > machine_cpus(g->f->machine))
		return false;
	*cpu = n ? (int)n - 1 : (int)g->cpu;
	return true;
}

/* --- replies --- */

static void reply(struct gdbstub *g, const char *text)
{
	gdb_put(g, "%s", text);
	gdb_send(g);
}

static void reply_ok(struct gdbstub *g, bool ok)
{
	reply(g, ok ? "OK" : "E01");
}

/* --- registers --- */

static void cmd_g(struct gdbstub *g, struct cursor *c)
{
	u8 buf[GDB_REG_MAX];

	(void)c;
	for (unsigned n = 0; n < gdb_reg_count(); n++)
		gdb_put_hex(g, buf, gdb_reg_read(gdb_vcpu(g), n, buf));
	gdb_send(g);
}

static bool take_register(struct gdbstub *g, struct cursor *c, unsigned n)
{
	unsigned size = gdb_reg_size(n);
	u8 buf[GDB_REG_MAX];

	for (unsigned i = 0; i < size; i++)
		if (!hex_byte(c, &buf[i]))
			return false;
	return size && gdb_reg_write(gdb_vcpu(g), n, buf);
}

/* All registers: those that cannot be set are skipped if they are unchanged, which most are. */
static void cmd_G(struct gdbstub *g, struct cursor *c)
{
	bool ok = true;

	for (unsigned n = 0; n < gdb_reg_count() && c->p < c->end; n++)
		ok &= take_register(g, c, n);
	reply_ok(g, ok && c->p == c->end);
}

static void cmd_p(struct gdbstub *g, struct cursor *c)
{
	u8 buf[GDB_REG_MAX];
	unsigned size;
	u64 n;

	size = hex_number(c, &n) && n < gdb_reg_count()
		       ? gdb_reg_read(gdb_vcpu(g), (unsigned)n, buf)
		       : 0;
	if (size) {
		gdb_put_hex(g, buf, size);
		gdb_send(g);
	} else {
		reply(g, "E01");
	}
}

static void cmd_P(struct gdbstub *g, struct cursor *c)
{
	u64 n;

	reply_ok(g, hex_number(c, &n) && n < gdb_reg_count() && next_is(c, '=') &&
			    take_register(g, c, (unsigned)n));
}

/* --- memory --- */

static bool range(struct cursor *c, u64 *addr, u64 *len)
{
	return hex_number(c, addr) && next_is(c, ',') && hex_number(c, len) &&
	       *len <= GDB_PACKET / 2;
}

static void cmd_m(struct gdbstub *g, struct cursor *c)
{
	u8 buf[GDB_PACKET / 2];
	u64 addr, len;

	if (!range(c, &addr, &len) || !gdb_memory_read(g, gdb_vcpu(g), addr, buf, len)) {
		reply(g, "E14");
		return;
	}
	gdb_put_hex(g, buf, len);
	gdb_send(g);
}

static void cmd_M(struct gdbstub *g, struct cursor *c)
{
	u8 buf[GDB_PACKET / 2];
	u64 addr, len;
	bool ok = range(c, &addr, &len) && next_is(c, ':');

	for (u64 i = 0; ok && i < len; i++)
		ok = hex_byte(c, &buf[i]);
	reply(g, ok && gdb_memory_write(g, gdb_vcpu(g), addr, buf, len) ? "OK" : "E14");
}

/* As M with binary data. */
static void cmd_X(struct gdbstub *g, struct cursor *c)
{
	u8 buf[GDB_PACKET / 2];
	u64 addr, len, n = 0;
	bool ok = range(c, &addr, &len) && next_is(c, ':');

	while (ok && c->p < c->end && n < len) {
		bool escaped = next_is(c, '}');

		if (c->p == c->end)
			break;
		buf[n++] = (u8)(*c->p++ ^ (escaped ? 0x20 : 0));
	}
	ok = ok && n == len && c->p == c->end;
	reply(g, ok && gdb_memory_write(g, gdb_vcpu(g), addr, buf, len) ? "OK" : "E14");
}

/* --- breakpoints --- */

static bool point_packet(struct cursor *c, struct gdb_point *p)
{
	u64 kind, addr, len;

	if (!hex_number(c, &kind) || kind > POINT_WRITE || !next_is(c, ',') ||
	    !hex_number(c, &addr) || !next_is(c, ',') || !hex_number(c, &len))
		return false;
	*p = (struct gdb_point){.kind = (enum gdb_point_kind)kind, .addr = addr, .len = (u32)len};
	return kind != POINT_WRITE || (len && len <= sizeof(p->last));
}

static unsigned point_find(const struct gdbstub *g, const struct gdb_point *p)
{
	unsigned i = 0;

	while (i < g->points && (g->point[i].kind != p->kind || g->point[i].addr != p->addr ||
				 g->point[i].len != p->len))
		i++;
	return i;
}

static void cmd_Z(struct gdbstub *g, struct cursor *c)
{
	struct gdb_point p;
	unsigned i;

	if (c->p < c->end && *c->p >= '3' && *c->p <= '9') {
		reply(g, ""); /* read and access watchpoints: not supported */
		return;
	}
	if (!point_packet(c, &p)) {
		reply(g, "E01");
		return;
	}
	i = point_find(g, &p);
	if (i == GDB_POINTS) {
		reply(g, "E0c");
		return;
	}
	g->point[i] = p;
	g->points += i == g->points;
	gdb_update_hooks(g);
	reply(g, "OK");
}

static void cmd_z(struct gdbstub *g, struct cursor *c)
{
	struct gdb_point p;
	unsigned i;

	if (!point_packet(c, &p)) {
		reply(g, "E01");
		return;
	}
	i = point_find(g, &p);
	if (i < g->points)
		g->point[i] = g->point[--g->points];
	gdb_update_hooks(g);
	reply(g, "OK");
}

/* --- running --- */

/* c and s, with an address to go on at. */
static void go(struct gdbstub *g, struct cursor *c, bool step)
{
	u8 rip[GDB_REG_MAX];
	u64 addr;

	if (hex_number(c, &addr)) {
		store_le(rip, addr, 8);
		if (!gdb_reg_write(gdb_vcpu(g), 16, rip)) {
			reply(g, "E01");
			return;
		}
	}
	gdb_resume(g, step ? (int)g->cpu : -1);
}

static void cmd_c(struct gdbstub *g, struct cursor *c)
{
	go(g, c, false);
}

static void cmd_s(struct gdbstub *g, struct cursor *c)
{
	go(g, c, true);
}

/* The first action that steps wins; all other processors run on. */
static void vcont(struct gdbstub *g, struct cursor *c)
{
	int step = -1;

	if (next_is(c, '?')) {
		reply(g, "vCont;c;C;s;S");
		return;
	}
	while (next_is(c, ';')) {
		char action = c->p < c->end ? *c->p++ : 0;
		int cpu = (int)g->cpu;
		u64 sig;

		if (!action || !strchr("cCsS", action) ||
		    ((action == 'C' || action == 'S') && !hex_number(c, &sig)) ||
		    (next_is(c, ':') && !thread(c, &cpu, g))) {
			reply(g, "E01");
			return;
		}
		if ((action == 's' || action == 'S') && step < 0)
			step = cpu < 0 ? (int)g->cpu : cpu;
	}
	gdb_resume(g, step);
}

static void cmd_v(struct gdbstub *g, struct cursor *c)
{
	if (starts(c, "Cont"))
		vcont(g, c);
	else if (starts(c, "Kill"))
		frontend_end(g->f, EXIT_OK);
	else
		reply(g, "");
}

static void cmd_k(struct gdbstub *g, struct cursor *c)
{
	(void)c;
	frontend_end(g->f, EXIT_OK);
}

static void cmd_D(struct gdbstub *g, struct cursor *c)
{
	(void)c;
	reply(g, "OK");
	gdb_disconnect(g);
}

static void cmd_status(struct gdbstub *g, struct cursor *c)
{
	(void)c;
	reply(g, g->stop_reply);
}

/* --- threads --- */

static void cmd_H(struct gdbstub *g, struct cursor *c)
{
	char what = c->p < c->end ? *c->p++ : 0;
	int cpu;

	if ((what != 'g' && what != 'c') || !thread(c, &cpu, g)) {
		reply(g, "E01");
		return;
	}
	if (cpu >= 0)
		g->cpu = (unsigned)cpu;
	reply(g, "OK");
}

static void cmd_T(struct gdbstub *g, struct cursor *c)
{
	int cpu;

	reply_ok(g, thread(c, &cpu, g));
}

static void thread_list(struct gdbstub *g)
{
	gdb_put(g, "m");
	for (unsigned n = 0; n < machine_cpus(g->f->machine); n++)
		gdb_put(g, n ? ",%x" : "%x", n + 1);
	gdb_send(g);
}

static void thread_info(struct gdbstub *g, struct cursor *c)
{
	static const char *const activity[] = {"running", "halted", "shutdown", "waits for SIPI",
					       "in MWAIT"};
	const struct vcpu *v;
	char text[64];
	int cpu, n;

	if (!thread(c, &cpu, g) || cpu < 0) {
		reply(g, "E01");
		return;
	}
	v = machine_cpu(g->f->machine, (unsigned)cpu);
	n = snprintf(text, sizeof(text), "CPU %u %s%s", v->id,
		     v->activity < ARRAY_SIZE(activity) ? activity[v->activity] : "?",
		     v->vmx.non_root ? ", VMX non-root" : "");
	gdb_put_hex(g, text, (size_t)n);
	gdb_send(g);
}

/* --- queries --- */

static void features(struct gdbstub *g, struct cursor *c)
{
	char *xml = gdb_target_xml(gdb_vcpu(g));
	size_t total = xml ? strlen(xml) : 0;
	u64 from, len;

	if (!xml || !hex_number(c, &from) || !next_is(c, ',') || !hex_number(c, &len)) {
		reply(g, "E01");
	} else if (from >= total) {
		reply(g, "l");
	} else {
		if (len > GDB_PACKET / 2)
			len = GDB_PACKET / 2;
		if (len > total - from)
			len = total - from;
		gdb_put(g, "%c", from + len < total ? 'm' : 'l');
		gdb_put_binary(g, xml + from, len);
		gdb_send(g);
	}
	free(xml);
}

/* `monitor COMMAND`: ours are "phys on|off"; the rest goes to the monitor. */
static void monitor(struct gdbstub *g, struct cursor *c)
{
	char line[CONSOLE_LINE], *text = NULL;
	size_t n = 0, size = 0;
	FILE *out;
	u8 byte;

	while (n < sizeof(line) - 1 && hex_byte(c, &byte))
		line[n++] = (char)byte;
	line[n] = 0;
	if (!strcmp(line, "phys on") || !strcmp(line, "phys off")) {
		g->physical = line[6] == 'n';
		reply(g, "OK");
		return;
	}
	out = open_memstream(&text, &size);
	if (!out) {
		reply(g, "E01");
		return;
	}
	monitor_command(g->f, line, out);
	fclose(out);
	if (size > GDB_PACKET / 2)
		size = GDB_PACKET / 2;
	if (size)
		gdb_put_hex(g, text, size);
	else
		gdb_put(g, "OK");
	gdb_send(g);
	free(text);
}

static void cmd_q(struct gdbstub *g, struct cursor *c)
{
	if (starts(c, "Supported"))
		reply(g, "PacketSize=4000;qXfer:features:read+;QStartNoAckMode+;vContSupported+;"
			 "swbreak+;hwbreak+");
	else if (starts(c, "Xfer:features:read:target.xml:"))
		features(g, c);
	else if (starts(c, "fThreadInfo"))
		thread_list(g);
	else if (starts(c, "sThreadInfo"))
		reply(g, "l");
	else if (starts(c, "ThreadExtraInfo,"))
		thread_info(g, c);
	else if (starts(c, "Rcmd,"))
		monitor(g, c);
	else if (starts(c, "Attached"))
		reply(g, "1");
	else if (c->end - c->p == 1 && *c->p == 'C') {
		gdb_put(g, "QC%x", g->cpu + 1);
		gdb_send(g);
	} else
		reply(g, "");
}

static void cmd_Q(struct gdbstub *g, struct cursor *c)
{
	if (starts(c, "StartNoAckMode")) {
		reply(g, "OK");
		g->no_ack = true;
	} else {
		reply(g, "");
	}
}

void gdb_command(struct gdbstub *g, char *packet, size_t len)
{
	static const struct {
		char letter;
		void (*run)(struct gdbstub *g, struct cursor *c);
	} commands[] = {{'?', cmd_status}, {'c', cmd_c}, {'D', cmd_D}, {'g', cmd_g}, {'G', cmd_G},
			{'H', cmd_H},	   {'k', cmd_k}, {'m', cmd_m}, {'M', cmd_M}, {'p', cmd_p},
			{'P', cmd_P},	   {'q', cmd_q}, {'Q', cmd_Q}, {'s', cmd_s}, {'T', cmd_T},
			{'v', cmd_v},	   {'X', cmd_X}, {'z', cmd_z}, {'Z', cmd_Z}};
	struct cursor c = {packet + 1, packet + len};

	for (size_t i = 0; len && i < ARRAY_SIZE(commands); i++)
		if (commands[i].letter == *packet) {
			commands[i].run(g, &c);
			return;
		}
	reply(g, "");
}
