# Sourced by build.sh of tests/guest and tests/xen: packages from apt-get, modules with what they
# need, and archives for initramfs. The caller sets $update (yes: ask apt for newer packages), $cache
# (packages stay there), $work (temporary), $out, $cc and $flags, and for modules $root, $modules (the
# folder lib/modules/VERSION) and $tree (where that folder is unpacked).

fail() {
	echo "build.sh: $*" >&2
	exit 1
}

# The versioned kernel package a meta-package stands for.
kernel_package() {
	apt-cache depends "$1" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

# cached PATTERN: the newest file of that name pattern in the cache.
cached() {
	ls -t "$cache"/$1 2>/dev/null | head -n 1
}

# download PATTERN PACKAGE: prints the file, fetched only when it must be. PATTERN is the cache's
# name for it; PACKAGE may be a meta-package of a kernel.
download() {
	if [ $update = no ] && [ -n "$(cached "$1")" ]; then
		cached "$1"
		return
	fi
	package=$2
	case $package in
	linux-image-*) package=$(kernel_package "$2") ;;
	esac
	[ -n "$package" ] || fail "apt knows no package $2 (try apt-get update)"
	if [ $update = yes ] || [ -z "$(cached "${package}_*.deb")" ]; then
		(cd "$cache" && apt-get -qq download "$package" >"$work/apt.log" 2>&1) ||
			[ -n "$(cached "$1")" ] ||
			fail "apt-get download $package failed: $(grep '^E:' "$work/apt.log" | head -n 1)"
	fi
	cached "$1"
}

# unpack DEB MEMBER...: into the directory the caller stands in.
unpack() {
	deb=$1
	shift
	dpkg-deb --fsys-tarfile "$deb" | tar -xf - "$@" 2>"$work/tar.log" ||
		fail "$(basename "$deb") lacks $*"
}

compile() {
	program=$1
	shift
	$cc $flags "$@" -o "$program" 2>"$work/cc.log" ||
		fail "cannot compile $(basename "$program"): $(grep -m 1 -E 'error|cannot' "$work/cc.log")"
}

# add_module NAME: the module and all it depends on, into the root with a modules.dep line.
add_module() {
	name=$(echo "$1" | tr - _)
	[ ! -e "$work/done.$name" ] || return 0
	: >"$work/done.$name"
	path=$(sed -n "s|^\(kernel/.*/$(echo "$name" | sed 's/_/[-_]/g')\.ko\)\$|\1|p" \
		"$work/modules.list")
	[ -n "$path" ] || fail "the kernel package has no module $1"
	direct=$(tr '\0' '\n' <"$tree/$modules/$path" | sed -n 's/^depends=//p' |
		tr ', -' '\n\n_')
	mkdir -p "$root/$modules/$(dirname "$path")"
	cp "$tree/$modules/$path" "$root/$modules/$path"
	echo "$path" >"$work/path.$name"
	echo "$direct" >"$work/direct.$name"
	for dependency in $direct; do
		add_module "$dependency"
	done
}

# every_dependency NAME: the paths of all it needs, nearest first, as modprobe wants them.
every_dependency() {
	pending=$(cat "$work/direct.$1")
	listed=
	while [ -n "$pending" ]; do
		next=
		for dependency in $pending; do
			listed="$(echo " $listed " | sed "s/ $dependency / /") $dependency"
			next="$next $(cat "$work/direct.$dependency")"
		done
		pending=$(echo $next)
	done
	for dependency in $listed; do
		cat "$work/path.$dependency"
	done
}

write_modules_dep() {
	for record in "$work"/path.*; do
		echo "$(cat "$record"):" $(every_dependency "${record##*/path.}")
	done >"$root/$modules/modules.dep"
}

# manifest ROOT: every directory, file and link below it, sorted, and the console.
manifest() {
	(cd "$1" && find . -mindepth 1 | sort | sed 's|^\.||') | while read -r path; do
		if [ -L "$1$path" ]; then
			echo "slink $(readlink "$1$path") $path"
		elif [ -d "$1$path" ]; then
			echo "dir 755 $path"
		elif [ -x "$1$path" ]; then
			echo "file 755 $path"
		else
			echo "file 644 $path"
		fi
	done
	echo "nod 600 5 1 /dev/console"
	echo "nod 666 1 3 /dev/null"
}

# archive ROOT NAME: ROOT with its own manifest inside, into OUTDIR/NAME.
archive() {
	: >"$1/etc/manifest"
	manifest "$1" >"$work/manifest"
	cp "$work/manifest" "$1/etc/manifest"
	"$work/mkcpio" "$1" <"$work/manifest" >"$work/archive" || fail "cannot write $2"
	gzip -n -9 <"$work/archive" >"$out/$2.new"
	mv "$out/$2.new" "$out/$2"
}
