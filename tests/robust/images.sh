# Small guests and broken images for the scripts in this folder; to be sourced. Everything is
# written with printf, so nothing but sh is needed.

# hex BYTE...: bytes in hexadecimal; printf of POSIX knows octal only.
hex()
{
	for byte in "$@"; do
		printf "\\$(printf %03o "0x$byte")"
	done
}

# bytes N [VALUE]: N bytes of zero or of VALUE, as tr writes it.
bytes()
{
	head -c "$1" /dev/zero | tr '\0' "${2:-\\000}"
}

# noise N SEED: N bytes without a pattern, the same for the same SEED.
noise()
{
	awk -v n="$1" -v seed="$2" 'BEGIN { srand(seed); for (i = 0; i < n; i++)
		printf "%c", 1 + int(rand() * 127) }'
}

# A multiboot 1 header with address fields, for an image that begins with it at 1 MiB.
multiboot_header() { hex 02 b0 ad 1b 00 00 01 00 fe 4f 51 e4; }

# flat_image FILE BYTE...: such an image; the code starts in 32-bit mode with interrupts off and
# says R on the first serial port before it does what BYTE... say.
flat_image()
{
	file=$1
	shift
	{
		multiboot_header
		hex 00 00 10 00 00 00 10 00 00 00 00 00 00 00 00 00 20 00 10 00
		# 8-bit words: mov $0x3fb, %dx; mov $3, %al; out %al, %dx
		hex 66 ba fb 03 b0 03 ee
		# mov $0x3f8, %dx; mov $'R', %al; out %al, %dx; mov $'\n', %al; out %al, %dx
		hex 66 ba f8 03 b0 52 ee b0 0a ee "$@"
	} > "$file"
}

make_guests()
{
	flat_image spin eb fe
	flat_image halt f4 eb fd
	flat_image fault 0f 0b
	# mov $0xf4, %dx; mov $5, %eax; out %eax, %dx; hlt
	flat_image leave 66 ba f4 00 b8 05 00 00 00 ef f4
	# mov $0x505, %dx; mov $1, %al; out %al, %dx; ud2
	flat_image panic 66 ba 05 05 b0 01 ee 0f 0b
	# again and again
	flat_image chatter eb f8
}

# A bzImage that says it has one setup sector and 4 MiB of code, and then has 1 KiB.
short_bzimage()
{
	bytes 497
	hex 01 00 00 00 00 04 00 00 00 00 00 00 00 55 aa
	hex eb 66 48 64 72 53 0c 02
	bytes 9
	hex 01
	bytes 1500
}

# wild_elf CLASS MACHINE COUNT: an ELF file whose program headers are beyond its end.
wild_elf()
{
	hex 7f 45 4c 46 "$1" 01 01 00 00 00 00 00 00 00 00 00 02 00 "$2" 00 01 00 00 00
	hex ff ff ff ff ff ff ff 7f ff ff ff ff ff ff ff 7f
	bytes 16
	hex 38 00 "$3" 00
	bytes 100
}

# wild_multiboot BYTE...: where the header is, load address, end of data, end of bss, entry.
wild_multiboot()
{
	multiboot_header
	hex "$@"
	bytes 100
}

make_broken_files()
{
	: > empty
	mkdir directory
	mkfifo pipe
	bytes 1 > onebyte
	noise 511 1 > random1
	noise 65536 2 > random2
	noise 3000000 3 > random3
	bytes 100000 > zeros
	bytes 100000 '\377' > ones
	short_bzimage > short_bz
	head -c 520 short_bz > header_bz
	wild_elf 01 03 ff > elf32
	wild_elf 02 3e ff > elf64
	wild_elf 02 b7 01 > elf_arm
	head -c 20 spin > short_flat
	head -c 12 spin > shorter_flat
	wild_multiboot 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 > flat_at_0
	wild_multiboot 00 f0 ff ff 00 f0 ff ff 00 00 00 00 00 00 00 00 00 f0 ff ff > flat_at_4g
	wild_multiboot 00 00 10 00 00 00 10 00 00 00 00 00 00 ff ff ff 00 00 10 00 > flat_bss
	wild_multiboot 00 00 20 00 00 00 30 00 00 00 00 00 00 00 00 00 00 00 10 00 > flat_load
	truncate -s 64M big
}
