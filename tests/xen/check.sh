#!/bin/sh
# Boots Xen with a dom0 and starts domains of every kind: one line PASS or FAIL for each, then "N passed, N failed".
#
# From the environment: GIGOGNE (./gigogne), XEN_KIT (build/xen; made there by build.sh when it is not
# ready), PACKAGES (folder of packages to use; XEN_KIT/cache), CC, TIME_FACTOR (1; all time limits are
# multiplied by it).

set -u
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
emulator=${GIGOGNE:-./gigogne}
kit=${XEN_KIT:-build/xen}
factor=${TIME_FACTOR:-1}
. "$here/../guest/expect.sh"

# xen NAME SECONDS DOMAINS MARKS...: dom0 starts the domains and ends them.
xen()
{
	name=$1 limit=$2 list=$3
	shift 3
	expect "$name" "$limit" 0 "$@" 'dom0 power off' -- -m 2048 -no-reboot -kernel "$kit/xen" \
		-initrd "$kit/vmlinuz console=hvc0 quiet xen=$(echo "$list" | sed 's/,/,,/g'),$kit/dom0.cpio.gz" \
		-append "com1=115200,8n1 console=com1 dom0_mem=768M,max:768M"
}

# said NAME TEXT: in the last run.
said()
{
	if grep -q "gigogne-xen: .*$2" "$tmp/log"; then
		pass "$1"
	else
		fail "$1" "dom0 did not say: $2"
	fi
}

domains='pv pvh hvm'

if ! sh "$here/build.sh" "$kit" ${PACKAGES:+"$PACKAGES"} > "$tmp/log" 2>&1; then
	cat "$tmp/log"
	echo "FAIL Xen cannot be built in $kit"
	echo '0 passed, 1 failed'
	exit 1
fi
xen 'Xen: dom0 boots, starts domains, powers off' 2400 "$(echo $domains | tr ' ' ,)" \
	'HVM: VMX enabled' 'dom0 init'
for domain in $domains; do
	case $domain in
	pv) kind=PV ;;
	pvh) kind=PVH ;;
	*) kind=HVM ;;
	esac
	said "Xen: $domain boots to its init" "$domain is a $kind domain, .*, clean"
	said "Xen: xl list shows $domain" "$domain is listed"
	said "Xen: $domain ends" "$domain is gone after xl "
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
