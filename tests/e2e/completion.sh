#!/bin/bash
# The completion for bash: it knows every verb, option and key that the help tells of, and completes words.
set -u
. tests/e2e-lib.sh
. completions/bantam.bash

# complete_line LINE: what a tab behind LINE would offer, one a line, sorted. Bash replaces what is behind
# the last = or : only.
complete_line() {
	COMP_LINE=$1 COMP_POINT=${#1}
	_bantam
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

# offers LINE WORD...: exactly these are offered.
offers() {
	local line=$1 got wanted
	shift
	got=$(complete_line "$line")
	wanted=$(printf '%s\n' "$@" | sort)
	[ "$got" = "$wanted" ] || fault "'$line': '${got//$'\n'/ }' instead of '${wanted//$'\n'/ }'"
}

# has LINE WORD...: these are among what is offered.
has() {
	local line=$1 got word
	shift
	got=$(complete_line "$line")
	for word in "$@"; do
		grep -qxF -e "$word" <<<"$got" || fault "'$line' does not offer '$word'"
	done
}

# ---- nothing is missing ----

tools/update-completion "$bantam" --check || fault "the tables are behind"

verbs=$("$bantam" help | sed -n 's/^  \([a-z]*\) .*/\1/p')
[ -n "$verbs" ] || fault "no verbs in the help"
# shellcheck disable=SC2086 # a list of words on purpose
has "bantam " $verbs
for verb in $verbs; do
	options=$("$bantam" help "$verb" | grep -oE '^  (-., |    )?--?[a-z0-9-]+' | grep -oE -e '-[a-z0-9-]+|-.' | sort -u)
	# shellcheck disable=SC2086
	[ -z "$options" ] || has "bantam $verb -" $options
done
"$bantam" help run | sed -n '/^Keys for/,/^$/s/^  \([a-z][^ ]*\)$/\1/p' >"$work/keys"
[ -s "$work/keys" ] || fault "no keys in the help"
while read -r key; do
	has "bantam run -o ${key%%.*}" "${key/.N/.0}="
done <"$work/keys"

# ---- words ----

offers "bantam im" image
offers "bantam help sw" switch
offers "bantam run --net" --network --networking
offers "bantam run --console " serial virtio
offers "bantam run --console=v" virtio
offers "bantam run --accel kvm:s" soft
offers "bantam run -o cpu.mo" cpu.model=
offers "bantam run -o cpu.model=x86" x86-64-v2 x86-64-v3
offers "bantam run -o disk.3.fo" disk.3.format=
offers "bantam run -o disk.3.format=q" qcow2
offers "bantam run -o nodefaults=" false true
offers "bantam run --serial 2=p" port: pts
offers "bantam run --con st" stdio
offers "bantam run -o serial.1.channel=un" unix:
offers "bantam run -n soc" socket
offers "bantam run -n mode=b" bridge
offers "bantam run -n tap,off" tap,offload=
offers "bantam image c" check commit convert create
offers "bantam image convert -O " cow qcow2 raw
offers "bantam image create --compression z" zlib zstd
offers "bantam sandbox --timeo" --timeout
offers "bantam sandbox --tty" --tty
offers "bantam nothing x"

# ---- files ----

mkdir "$work/folder"
touch "$work/file one" "$work/file2"
offers "bantam run -k $work/f" "$work/file one" "$work/file2" "$work/folder/"
offers "bantam run $work/file2" "$work/file2"
offers "bantam run --kernel=$work/file2" "$work/file2"
offers "bantam run -d $work/file2,r" "$work/file2,ro"
offers "bantam run -d $work/file2,format=r" raw
offers "bantam run -d $work/file2,backing-f" "$work/file2,backing-format="
offers "bantam run --share $work/f" "$work/folder/"
offers "bantam run --share $work/folder,tag,c" "$work/folder,tag,cache="
offers "bantam run --share $work/folder,tag,cache=al" always
offers "bantam run --serial file:$work/file2" "$work/file2"
offers "bantam run -o kernel.path=$work/fo" "$work/folder/"
offers "bantam sandbox --rw $work/f" "$work/folder/"
offers "bantam sandbox -- cat $work/file2" "$work/file2"
offers "bantam image info $work/file2" "$work/file2"
has "bantam sandbox -- seq" seq
finish
