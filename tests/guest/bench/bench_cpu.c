// Benchmarks of plain computation: an integer mix, a byte-code interpreter, SHA-256 (FIPS 180-4),
// a Lempel-Ziv compressor and double-precision arithmetic. Left out: anything vectorised by hand;
// what the compiler makes of this for a baseline x86-64 is what is measured.

#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned collatz(uint64_t n)
{
	unsigned steps = 0;

	while (n != 1) {
		n = n & 1 ? 3 * n + 1 : n / 2;
		steps++;
	}
	return steps;
}

static uint32_t isqrt(uint64_t n)
{
	uint64_t root = 0;

	for (uint64_t bit = 1ULL << 62; bit != 0; bit >>= 2) {
		if (n >= root + bit) {
			n -= root + bit;
			root = root / 2 + bit;
		} else {
			root /= 2;
		}
	}
	return (uint32_t)root;
}

static uint32_t crc32_of(const uint8_t *data, unsigned size)
{
	uint32_t crc = ~0U;

	for (unsigned i = 0; i < size; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static int compare_values(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

// Branches, shifts, division, multiplication, calls through a pointer and small loops.
uint64_t bench_intmix(unsigned percent)
{
	uint32_t value[512];
	uint64_t state = 1, sum = 0;

	for (unsigned round = 0; round < 30 * percent; round++) {
		for (unsigned i = 0; i < 512; i++)
			value[i] = (uint32_t)bench_random(&state);
		qsort(value, 512, sizeof(value[0]), compare_values);
		for (unsigned i = 0; i < 512; i++) {
			sum += collatz(value[i] % 5000 + 1) + isqrt((uint64_t)value[i] << 20);
			sum = sum * 31 + value[i] % (i + 7) + (sum / (value[i] | 1));
		}
		sum ^= crc32_of((const uint8_t *)value, sizeof(value));
	}
	return sum;
}

enum op { PUSH, ADD, SUB, MUL, XOR, SHR, DUP, SWAP, LOAD, STORE, JNZ, END };

struct machine {
	uint64_t stack[16], memory[16];
};

static uint64_t interpret(struct machine *m, const int8_t *code)
{
	uint64_t *sp = m->stack, keep;

	for (const int8_t *pc = code;;) {
		switch ((enum op) * pc++) {
		case PUSH:
			*sp++ = (uint64_t)*pc++;
			break;
		case ADD:
			sp--;
			sp[-1] += sp[0];
			break;
		case SUB:
			sp--;
			sp[-1] -= sp[0];
			break;
		case MUL:
			sp--;
			sp[-1] *= sp[0];
			break;
		case XOR:
			sp--;
			sp[-1] ^= sp[0];
			break;
		case SHR:
			sp[-1] >>= *pc++ & 63;
			break;
		case DUP:
			sp[0] = sp[-1];
			sp++;
			break;
		case SWAP:
			keep = sp[-1];
			sp[-1] = sp[-2];
			sp[-2] = keep;
			break;
		case LOAD:
			*sp++ = m->memory[*pc++ & 15];
			break;
		case STORE:
			m->memory[*pc++ & 15] = *--sp;
			break;
		case JNZ:
			pc = *--sp ? pc + *pc : pc + 1;
			break;
		case END:
			return m->memory[1];
		}
	}
}

// The interpreted loop: x ^= x >> 7; x = x * 13 + i; swap twice; until --i is 0.
uint64_t bench_bytecode(unsigned percent)
{
	static const int8_t code[] = {LOAD,  1,	   DUP,	  SHR, 7,    XOR, PUSH, 13,
				      MUL,   LOAD, 0,	  ADD, LOAD, 2,	  SWAP, SWAP,
				      STORE, 3,	   STORE, 1,   LOAD, 0,	  PUSH, 1,
				      SUB,   DUP,  STORE, 0,   JNZ,  -29, END};
	struct machine m = {.memory = {[0] = 80000ULL * percent, [1] = 12345, [2] = 99}};

	return interpret(&m, code) + m.memory[3];
}

static uint32_t rotate_right(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
static void sha256_constants(uint32_t k[64])
{
	unsigned found = 0;

	for (uint32_t n = 2; found < 64; n++) {
		unsigned prime = 1;

		for (uint32_t d = 2; d * d <= n; d++)
			prime &= n % d != 0;
		if (prime)
			k[found++] = (uint32_t)(uint64_t)(cbrt(n) * 4294967296.0);
	}
}

static void sha256_block(uint32_t h[8], const uint32_t k[64], const uint8_t *block)
{
	uint32_t w[64], s[8];

	for (int i = 0; i < 16; i++) {
		const uint8_t *b = block + 4 * i;

		w[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	}
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] + (rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3) +
		       (rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10);
	}
	memcpy(s, h, sizeof(s));
	for (int i = 0; i < 64; i++) {
		uint32_t e = s[4], a = s[0];
		uint32_t t1 = s[7] + k[i] + w[i] + ((e & s[5]) ^ (~e & s[6])) +
			      (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25));
		uint32_t t2 = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) +
			      ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		h[i] += s[i];
}

uint64_t bench_sha256(unsigned percent)
{
	uint32_t k[64], h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
				0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	uint8_t block[64];
	uint64_t state = 7;

	sha256_constants(k);
	for (unsigned i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)bench_random(&state);
	for (unsigned i = 0; i < 4200 * percent; i++) {
		block[i % 64] ^= (uint8_t)h[i % 8];
		sha256_block(h, k, block);
	}
	return (uint64_t)h[0] << 32 | h[1];
}

enum { LZ_SIZE = 1 << 18, LZ_HASH = 1 << 13, LZ_CHAIN = 8, LZ_LONGEST = 200 };

struct lz {
	uint8_t text[LZ_SIZE + LZ_LONGEST];
	int32_t head[LZ_HASH], previous[LZ_SIZE];
};

static unsigned lz_hash(const uint8_t *p)
{
	return ((uint32_t)p[0] << 10 ^ (uint32_t)p[1] << 5 ^ p[2]) % LZ_HASH;
}

// The longest match among the last few places of the same hash; the distance goes to *distance.
static int lz_match(const struct lz *z, int at, int *distance)
{
	int best = 2;

	for (int i = z->head[lz_hash(z->text + at)], n = 0; i >= 0 && n < LZ_CHAIN;
	     i = z->previous[i], n++) {
		int length = 0;

		while (length < LZ_LONGEST && z->text[i + length] == z->text[at + length])
			length++;
		if (length > best) {
			best = length;
			*distance = at - i;
		}
	}
	return best;
}

static uint64_t lz_compress(struct lz *z)
{
	uint64_t sum = 0;

	memset(z->head, 0xff, sizeof(z->head));
	for (int at = 0; at < LZ_SIZE;) {
		int distance = 0, length = lz_match(z, at, &distance);
		int step = distance ? length : 1;

		sum = sum * 257 +
		      (distance ? (uint64_t)distance << 8 | (unsigned)length : z->text[at]);
		for (int end = at + step; at < end && at < LZ_SIZE; at++) {
			unsigned hash = lz_hash(z->text + at);

			z->previous[at] = z->head[hash];
			z->head[hash] = at;
		}
	}
	return sum;
}

// A text of random words out of a small vocabulary, compressed again and again.
uint64_t bench_lz(unsigned percent)
{
	static struct lz z;
	uint64_t state = 3, sum = 0;

	for (unsigned i = 0; i < LZ_SIZE;) {
		uint64_t word = bench_random(&state) % 3000, letters = word * 7919 + 1;

		for (unsigned n = 3 + word % 6; n > 0 && i < LZ_SIZE; n--, letters /= 3)
			z.text[i++] = (uint8_t)('a' + letters % 26);
		if (i < LZ_SIZE)
			z.text[i++] = ' ';
	}
	for (unsigned i = 0; i < 80 * percent / 100 + 1; i++) {
		z.text[i * 97 % LZ_SIZE] ^= 1;
		sum = sum * 31 + lz_compress(&z);
	}
	return sum;
}

struct body {
	double x[3], v[3], mass;
};

static void step_bodies(struct body *body, int bodies, double dt)
{
	for (int i = 0; i < bodies; i++) {
		for (int j = 0; j < bodies; j++) {
			double d[3], square = 0.01, pull;

			for (int a = 0; a < 3; a++) {
				d[a] = body[j].x[a] - body[i].x[a];
				square += d[a] * d[a];
			}
			pull = body[j].mass * dt / (square * sqrt(square));
			for (int a = 0; a < 3; a++)
				body[i].v[a] += d[a] * pull;
		}
	}
	for (int i = 0; i < bodies; i++) {
		for (int a = 0; a < 3; a++)
			body[i].x[a] += body[i].v[a] * dt;
	}
}

static double multiply_matrices(double (*a)[48], double (*b)[48], double (*c)[48])
{
	double trace = 0;

	for (int i = 0; i < 48; i++) {
		for (int j = 0; j < 48; j++) {
			double sum = 0;

			for (int k = 0; k < 48; k++)
				sum += a[i][k] * b[k][j];
			c[i][j] = sum / 48;
		}
		trace += c[i][i];
	}
	return trace;
}

// Bodies pulling each other and matrix products: add, multiply, divide and square root.
uint64_t bench_fp(unsigned percent)
{
	static double a[48][48], b[48][48], c[48][48];
	struct body body[16];
	uint64_t state = 5, bits;
	double sum = 0;

	for (int i = 0; i < 16; i++) {
		for (int k = 0; k < 3; k++) {
			body[i].x[k] = (double)(bench_random(&state) % 1000) / 500 - 1;
			body[i].v[k] = 0;
		}
		body[i].mass = 1.0 / (i + 1);
	}
	for (int i = 0; i < 48 * 48; i++) {
		a[i / 48][i % 48] = (double)(bench_random(&state) % 1000) / 1000;
		b[i / 48][i % 48] = (double)(bench_random(&state) % 1000) / 1000;
	}
	for (unsigned i = 0; i < 11 * percent; i++) {
		for (int n = 0; n < 50; n++)
			step_bodies(body, 16, 0.001);
		sum += multiply_matrices(a, b, c) + multiply_matrices(c, b, a) + body[i % 16].x[0];
	}
	memcpy(&bits, &sum, sizeof(bits));
	return bits;
}
