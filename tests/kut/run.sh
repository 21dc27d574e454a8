#!/bin/sh
# Runs kvm-unit-tests that somebody has built: tests/kut/run.sh DIR [NAME...]
#
# DIR holds unittests.cfg and the .flat files (the folder x86 of a built tree). Each entry becomes one
# run: smp, test_args, the memory and the processor of qemu_params, its timeout. Prints PASS, FAIL or
# SKIP for each and "N passed, N failed, N skipped" at the end; fails if one failed. With names, only
# those entries, and also those that are marked not to run by default.
#
# An entry is skipped when it asks for what this machine has not (another architecture, a feature, a
# device), or when it says so itself. `check` and `accel` ask what the host's KVM can, so they say
# nothing here, but for the entries in `kvm_only`.
#
# The tests learn from a module of variables where they run. TEST_DEVICE=0 means a processor and not
# KVM: it leaves out the hypercalls and what KVM emulates differently from Intel's processors. The
# entries in `with_device` need the test device's interrupt lines and not those.
#
# From the environment: GIGOGNE (./gigogne), TIMEOUT (seconds instead of the entry's own), LOGS (a
# folder for the output of each test).

set -u
export LC_ALL=C
[ $# -ge 1 ] && [ -f "$1/unittests.cfg" ] || {
	echo "usage: $0 DIR [NAME...], where DIR has unittests.cfg and the built .flat files" >&2
	exit 2
}
dir=$1
shift
wanted=" $* "
gigogne=${GIGOGNE:-./gigogne}
passed=0 failed=0 skipped=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
logs=${LOGS:-$tmp}
mkdir -p "$logs" || exit 1
features=" $("$gigogne" -cpu help | sed -n '/^features/,/^VMX/p' | tr '\n' ' ') \
$("$gigogne" -cpu help | sed -n '/^VMX/,$p' | tr '\n' ' ') "
kvm_only=' vmware_backdoors vmexit_vmcall hypercall '
with_device=' vmx_apic_passthrough_thread '

skip()
{
	skipped=$((skipped + 1))
	echo "SKIP $name ($1)"
}

# Sets cpu to our option for QEMU's model and features, or why to what is missing.
translate_cpu()
{
	set -- "$(echo "$1" | tr ',' ' ')"
	for part in $1; do
		case $part in
		max | host | IvyBridge | Skylake-Server) cpu=max ;;
		qemu64 | Opteron_G1) cpu=base ;;
		+*)
			case $features in
			*" ${part#+} "*) cpu=$cpu,$part ;;
			*) why="no ${part#+}" ;;
			esac
			;;
		-*)
			case $features in
			*" ${part#-} "*) cpu=$cpu,$part ;;
			esac
			;;
		phys-bits=*) cpu=$cpu,$part ;;
		vendor=* | host-phys-bits | host-phys-bits=* | migratable=*) ;;
		*) why="no $part" ;;
		esac
	done
}

# Goes through qemu_params: memory, cpu, why.
translate()
{
	while [ $# -gt 0 ]; do
		case $1 in
		-m) memory=$2 && shift ;;
		-cpu) translate_cpu "$2" && shift ;;
		-enable-kvm) ;;
		-overcommit) shift ;;
		-machine) # without the PIT only so that a host can use AVIC
			[ "$2" = pit=off ] || why="no -machine $2"
			shift
			;;
		-device)
			[ "$2" = pc-testdev ] || why="no device $2"
			shift
			;;
		*) why="no $1" ;;
		esac
		shift
	done
}

environment()
{
	case $with_device in
	*" $name "*) echo 'TEST_DEVICE=1' ;;
	*) echo 'TEST_DEVICE=0' ;;
	esac
}

run()
{
	limit=${TIMEOUT:-${timeout:-90}}
	environment > "$tmp/environ"
	set -- -m "$memory" -smp "$smp" -cpu "$cpu" -nographic -no-reboot -timeout "$limit" \
		-device isa-debug-exit,iobase=0xf4,iosize=0x4 -device pc-testdev \
		-kernel "$dir/$file" -initrd "$tmp/environ"
	[ -z "$args" ] || set -- "$@" -append "$args"
	"$gigogne" "$@" < /dev/null > "$logs/$name.log" 2>&1
	status=$?
	summary=$(grep -a '^SUMMARY: ' "$logs/$name.log" | tail -1 | tr -d '\r')
	case $status in
	1) passed=$((passed + 1)) && echo "PASS $name (${summary#SUMMARY: })" ;;
	77) skip "${summary#SUMMARY: }" ;;
	*) failed=$((failed + 1)) && echo "FAIL $name (${summary#SUMMARY: }, status $status)" ;;
	esac
}

entry()
{
	[ -n "$name" ] || return
	if [ "$wanted" != '  ' ]; then
		case $wanted in
		*" $name "*) ;;
		*) return ;;
		esac
	else
		case " $groups " in
		*' nodefault '*) skip 'runs by name only' && return ;;
		esac
	fi
	why='' memory=128 cpu=max
	# shellcheck disable=SC2086 # words are wanted
	translate $params
	case $kvm_only in
	*" $name "*) why='of KVM only' ;;
	esac
	if [ -n "$arch" ] && [ "$arch" != x86_64 ]; then
		skip "$arch only"
	elif [ -n "$why" ]; then
		skip "$why"
	elif [ ! -f "$dir/$file" ]; then
		skip "no $file"
	else
		run
	fi
}

unquote()
{
	value=${value#[\"\']}
	value=${value%[\"\']}
}


fresh() { smp=1 file='' args='' params='' groups='' arch='' timeout=''; }

name=''
fresh
while IFS= read -r line; do
	case $line in
	'#'* | '') continue ;;
	'['*']')
		entry
		fresh
		name=${line#?} && name=${name%?}
		continue
		;;
	esac
	key=${line%%=*} && key=${key% }
	value=${line#*=} && value=${value# }
	case $key in
	file) file=$value ;;
	smp) smp=$value ;;
	test_args) unquote && args=$value ;;
	qemu_params | extra_params) params=$value ;;
	groups) groups=$value ;;
	arch) arch=$value ;;
	timeout) timeout=${value%s} ;;
	esac
done < "$dir/unittests.cfg"
entry
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
