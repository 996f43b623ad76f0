# SPDX-License-Identifier: BSD-2-Clause
# Completion of bantam's verbs, options, keys and values for bash: source it, or copy it to
# ~/.local/share/bash-completion/completions/bantam. It needs nothing but bash. The tables are written by
# tools/update-completion; the name of an option's value, as the help has it, tells what is completed.
# shellcheck shell=bash disable=SC2034 # indirect use

# begin tables
_bantam_verbs="run image sandbox setup switch help version"
_bantam_image_commands="create info check convert resize commit map"
_bantam_channels="stdio fd: pts tty: port: unix: file: null none"
_bantam_accelerators="kvm soft tcg"
declare -gA _bantam_options=(
	["run"]="-k --kernel -i --initrd -p --params -c --cpus -m --mem --name --accel --dev --pin --console --share --9p --rng --serial --con --port --balloon --vsock --tty -d --disk --sandbox -n --network --networking --publish --no-dhcp --nodefaults --no-reboot --config -o --dump-config -v --debug --debug-single-step --debug-ioport --stats --trace --debug-iodelay --debug-mmio -h --help"
	["image"]="-f --format -O --output-format -b --backing -F --backing-format --cluster-size --compat --compression --lazy-refcounts -c --compress -d --destructive --shrink --repair --force --ignore-mtime --json --progress -h --help"
	["sandbox"]="--rw --cwd --env --keep-env --user --net --timeout -t --tty --no-tty -k --kernel -i --initrd -p --params -c --cpus -m --mem --name --accel --dev --pin --console --share --9p --rng --serial --con --port --balloon --vsock -d --disk --sandbox -n --network --networking --publish --no-dhcp --nodefaults --no-reboot --config -o --dump-config -v --debug --debug-single-step --debug-ioport --stats --trace --debug-iodelay --debug-mmio -h --help"
	["setup"]=""
	["switch"]="--hub --tap -h --help"
	["help"]=""
	["version"]=""
)
declare -gA _bantam_args=(
	["run -k"]="FILE"
	["run --kernel"]="FILE"
	["run -i"]="FILE"
	["run --initrd"]="FILE"
	["run -p"]="TEXT"
	["run --params"]="TEXT"
	["run -c"]="N[,sockets=N][,cores=N][,threads=N]"
	["run --cpus"]="N[,sockets=N][,cores=N][,threads=N]"
	["run -m"]="SIZE[BKMGTP]"
	["run --mem"]="SIZE[BKMGTP]"
	["run --name"]="NAME"
	["run --accel"]="LIST"
	["run --dev"]="FILE"
	["run --pin"]="VCPU:HOSTCPU"
	["run --console"]="serial|virtio"
	["run --share"]="DIR,TAG[,ro][,type=T][,map=M][,cache=C]"
	["run --9p"]="DIR[,TAG]"
	["run --serial"]="[N=]CHANNEL"
	["run --con"]="[N=]CHANNEL"
	["run --port"]="NAME=CHANNEL"
	["run --vsock"]="CID[,PATH|,vhost]"
	["run --tty"]="N"
	["run -d"]="FILE[,ro][,direct][,size=SIZE]..."
	["run --disk"]="FILE[,ro][,direct][,size=SIZE]..."
	["run --sandbox"]="SCRIPT"
	["run -n"]="[MODE|KEY=VALUE,...]"
	["run --network"]="[MODE|KEY=VALUE,...]"
	["run --networking"]="MODE[,NAME]"
	["run --publish"]="[ADDR:]HOST:GUEST[/PROTO]"
	["run --config"]="FILE"
	["run -o"]="KEY=VALUE"
	["run --trace"]="FILE"
	["run --debug-iodelay"]="MS"
	["image -f"]="FORMAT"
	["image --format"]="FORMAT"
	["image -O"]="FORMAT"
	["image --output-format"]="FORMAT"
	["image -b"]="FILE"
	["image --backing"]="FILE"
	["image -F"]="FORMAT"
	["image --backing-format"]="FORMAT"
	["image --cluster-size"]="SIZE"
	["image --compat"]="2|3"
	["image --compression"]="zlib|zstd"
	["sandbox --rw"]="DIR"
	["sandbox --cwd"]="DIR"
	["sandbox --env"]="NAME[=VALUE]"
	["sandbox --user"]="UID[:GID]"
	["sandbox --timeout"]="TIME"
	["sandbox -k"]="FILE"
	["sandbox --kernel"]="FILE"
	["sandbox -i"]="FILE"
	["sandbox --initrd"]="FILE"
	["sandbox -p"]="TEXT"
	["sandbox --params"]="TEXT"
	["sandbox -c"]="N[,sockets=N][,cores=N][,threads=N]"
	["sandbox --cpus"]="N[,sockets=N][,cores=N][,threads=N]"
	["sandbox -m"]="SIZE[BKMGTP]"
	["sandbox --mem"]="SIZE[BKMGTP]"
	["sandbox --name"]="NAME"
	["sandbox --accel"]="LIST"
	["sandbox --dev"]="FILE"
	["sandbox --pin"]="VCPU:HOSTCPU"
	["sandbox --console"]="serial|virtio"
	["sandbox --share"]="DIR,TAG[,ro][,type=T][,map=M][,cache=C]"
	["sandbox --9p"]="DIR[,TAG]"
	["sandbox --serial"]="[N=]CHANNEL"
	["sandbox --con"]="[N=]CHANNEL"
	["sandbox --port"]="NAME=CHANNEL"
	["sandbox --vsock"]="CID[,PATH|,vhost]"
	["sandbox -d"]="FILE[,ro][,direct][,size=SIZE]..."
	["sandbox --disk"]="FILE[,ro][,direct][,size=SIZE]..."
	["sandbox --sandbox"]="SCRIPT"
	["sandbox -n"]="[MODE|KEY=VALUE,...]"
	["sandbox --network"]="[MODE|KEY=VALUE,...]"
	["sandbox --networking"]="MODE[,NAME]"
	["sandbox --publish"]="[ADDR:]HOST:GUEST[/PROTO]"
	["sandbox --config"]="FILE"
	["sandbox -o"]="KEY=VALUE"
	["sandbox --trace"]="FILE"
	["sandbox --debug-iodelay"]="MS"
	["switch --tap"]="NAME"
)
declare -gA _bantam_keys=(
	["name"]=""
	["cpus"]=""
	["sockets"]=""
	["cores"]=""
	["threads"]=""
	["vcpu.N.cpuset"]=""
	["cpu.model"]="auto x86-64-v2 x86-64-v3 host"
	["memory.size"]=""
	["accel"]=""
	["kvm.device"]="FILE"
	["soft.block_cache"]=""
	["soft.translate"]="true false"
	["soft.code_cache"]=""
	["soft.heat"]=""
	["soft.sites"]="hot always"
	["soft.perf_map"]="true false"
	["soft.listing"]="FILE"
	["kernel.path"]="FILE"
	["kernel.search"]="true false"
	["kernel.unpack"]="true false"
	["kernel.initrd"]="FILE"
	["kernel.params"]=""
	["kernel.symbols"]="FILE"
	["nodefaults"]="true false"
	["console"]="serial virtio none"
	["reboot"]="true false"
	["rtc.use_localtime"]="true false"
	["pit.missed_ticks"]="delay merge discard"
	["x86.mptable"]="true false"
	["testdev"]="true false"
	["log.level"]="error warn info debug"
	["stats"]="true false"
	["trace.file"]="FILE"
	["trace.from"]=""
	["trace.limit"]=""
	["debug.singlestep"]="true false"
	["debug.ioport"]="true false"
	["debug.mmio"]="true false"
	["debug.move_every"]=""
	["debug.move_to"]=""
	["debug.port"]="off 0xe9 0x402 both"
	["virtio.transport"]="pci mmio"
	["virtio.msix"]="true false"
	["serial.N.channel"]="CHANNEL"
	["serial.channel"]="CHANNEL"
	["tty.N"]="CHANNEL"
	["init.root.tag"]=""
	["init.root.path"]="FILE"
	["init.keep"]="FILE"
	["init.root.ro"]="true false"
	["init.root.type"]="9p virtiofs"
	["init.upper"]=""
	["init.mount.N.tag"]=""
	["init.mount.N.type"]="9p virtiofs"
	["init.mount.N.path"]="FILE"
	["init.mount.N.ro"]="true false"
	["init.dhcp"]="true false"
	["init.run"]="FILE"
	["init.boot"]="FILE"
	["init.term"]=""
	["init.session"]="none serial virtio"
	["init.modules.path"]="FILE"
	["init.modules.load"]=""
	["console.N.channel"]="CHANNEL"
	["console.channel"]="CHANNEL"
	["port.N.channel"]="CHANNEL"
	["port.N.name"]=""
	["rng.enabled"]="true false"
	["rng.rate"]=""
	["vsock.cid"]=""
	["vsock.path"]="FILE"
	["vsock.vhost"]="true false"
	["balloon.enabled"]="true false"
	["balloon.target"]=""
	["balloon.deflate_on_oom"]="true false"
	["balloon.reporting"]="true false"
	["balloon.stats_period"]=""
	["disk.N.path"]="FILE"
	["disk.N.format"]="auto raw qcow2 cow"
	["disk.N.backing"]="FILE"
	["disk.N.backing_format"]="auto raw qcow2 cow"
	["disk.N.size"]=""
	["disk.N.readonly"]="true false"
	["disk.N.direct"]="true false"
	["disk.N.aio"]="auto io_uring threads"
	["disk.N.serial"]=""
	["disk.N.queues"]=""
	["debug.iodelay"]=""
	["net.N.mode"]="user tap bridge socket mcast none"
	["net.N.mac"]=""
	["net.N.queues"]=""
	["net.N.mtu"]=""
	["net.N.offload"]="true false"
	["net.N.host_ip"]=""
	["net.N.guest_ip"]=""
	["net.N.tap"]=""
	["net.N.fd"]=""
	["net.N.bridge"]=""
	["net.N.host_mac"]=""
	["net.N.script"]="FILE"
	["net.N.downscript"]="FILE"
	["net.N.vhost"]="true false"
	["net.N.path"]="FILE"
	["net.N.group"]=""
	["net.N.ttl"]=""
	["net.N.local"]=""
	["net.N.restrict"]="true false"
	["net.N.ipv6"]="true false"
	["net.N.host_loopback"]="true false"
	["publish"]=""
	["share.N.path"]="FILE"
	["share.N.tag"]=""
	["share.N.type"]="virtiofs 9p"
	["share.N.readonly"]="true false"
	["share.N.map"]="auto none squash mapped"
	["share.N.cache"]="none auto always"
)
# end tables

# These add to COMPREPLY what begins with a text, behind a prefix.
_bantam_words() { # WORDS TEXT PREFIX
	local word
	for word in $1; do
		[[ $word != "$2"* ]] || COMPREPLY+=("$3$word")
	done
}

_bantam_files() { # TEXT PREFIX [-d]
	local name
	while IFS= read -r name; do
		[ ! -d "$name" ] || name=$name/
		COMPREPLY+=("$2$name")
	done < <(compgen "${3:--f}" -- "$1")
}

_bantam_channel() { # TEXT PREFIX
	case $1 in
	file:* | tty:* | unix:*) _bantam_files "${1#*:}" "$2${1%%:*}:" ;;
	*) _bantam_words "$_bantam_channels" "$1" "$2" ;;
	esac
}

# A value of one of the kinds in _bantam_keys.
_bantam_kind() { # KIND TEXT PREFIX
	case $1 in
	FILE) _bantam_files "$2" "$3" ;;
	CHANNEL) _bantam_channel "$2" "$3" ;;
	*) _bantam_words "$1" "$2" "$3" ;;
	esac
}

# KEY or KEY=VALUE. N in the name of a key is the number that was typed, or 0.
_bantam_key() { # TEXT
	local name=${1%%=*} number=0 key
	[[ ! $name =~ \.([0-9]+)(\.|$) ]] || number=${BASH_REMATCH[1]}
	if [[ $1 == *=* ]]; then
		key=$name
		[[ ! $name =~ ^(.*\.)[0-9]+(\..*|$) ]] || key=${BASH_REMATCH[1]}N${BASH_REMATCH[2]}
		_bantam_kind "${_bantam_keys[$key]-}" "${1#*=}" "$name="
		return
	fi
	for key in "${!_bantam_keys[@]}"; do
		key=${key/.N/.$number}
		_bantam_words "$key=" "$1" ""
	done
}

# The item behind the last comma: a word, or NAME=VALUE with the values of GROUP.N.NAME.
_bantam_item() { # GROUP WORDS TEXT
	local before="" item=$3
	if [[ $3 == *,* ]]; then
		before=${3%,*},
		item=${3##*,}
	fi
	if [[ $item == *=* ]]; then
		local key=$1.N.${item%%=*}
		_bantam_kind "${_bantam_keys[${key//-/_}]-}" "${item#*=}" "$before${item%%=*}="
	else
		_bantam_words "$2" "$item" "$before"
	fi
}

# The settings in an option's [,ro][,size=SIZE], and those that are keys of a group.
_bantam_settings() { # GROUP SHAPE
	local rest=$2 key name
	while [[ $rest =~ \[,([a-z]+=?)[A-Z]*\](.*) ]]; do
		echo "${BASH_REMATCH[1]}"
		rest=${BASH_REMATCH[2]}
	done
	for key in "${!_bantam_keys[@]}"; do
		name=${key##*.}
		[ "$1" != disk ] || name=${name//_/-}
		case $key in
		disk.N.path | disk.N.readonly | disk.N.direct | disk.N.size) ;; # by the shape
		"$1".N.*) echo "$name=" ;;
		esac
	done
}

_bantam_value() { # SHAPE TEXT PREFIX
	local text=$2 i at=${#COMPREPLY[@]}
	case $1 in
	FILE*)
		if [[ $text == *,* ]]; then
			_bantam_item disk "$(_bantam_settings disk "$1")" "$text"
		else
			_bantam_files "$text" ""
		fi
		;;
	SCRIPT) _bantam_files "$text" "" ;;
	DIR*)
		if [[ $text == *,*,* ]]; then
			_bantam_item share "$(_bantam_settings "" "$1")" "$text"
		else
			_bantam_files "$text" "" -d
		fi
		;;
	FORMAT) _bantam_words "${_bantam_keys[disk.N.format]/auto /}" "$text" "" ;;
	LIST)
		local before=${text%"${text##*:}"}
		_bantam_words "$_bantam_accelerators" "${text#"$before"}" "$before"
		;;
	*CHANNEL) _bantam_channel "${text#*=}" "${text%"${text#*=}"}" ;;
	KEY=VALUE) _bantam_key "$text" ;;
	\[MODE* | MODE*)
		_bantam_item net "${_bantam_keys[net.N.mode]} $([[ $1 != \[* ]] || _bantam_settings net "")" "$text"
		;;
	*\|*) _bantam_words "${1//|/ }" "$text" "" ;;
	esac
	for ((i = at; i < ${#COMPREPLY[@]}; i++)); do
		COMPREPLY[i]=$3${COMPREPLY[i]}
	done
}

# A word of a verb that is no option's value.
_bantam_word() { # VERB NUMBER TEXT
	case $1 in
	image)
		if [ "$2" -eq 0 ]; then
			_bantam_words "$_bantam_image_commands" "$3" ""
		else
			_bantam_files "$3" ""
		fi
		;;
	help) _bantam_words "$_bantam_verbs" "$3" "" ;;
	run | switch) _bantam_files "$3" "" ;;
	sandbox) mapfile -t COMPREPLY < <(compgen -c -- "$3") ;;
	esac
}

# Bash ends words at = and :, and replaces only what is behind the last of them.
_bantam_trim() { # TEXT
	local before=${1%"${1##*[=:]}"} i
	for i in "${!COMPREPLY[@]}"; do
		COMPREPLY[i]=${COMPREPLY[i]#"$before"}
	done
	[[ ${COMPREPLY[0]-} != *[=:/,] ]] || compopt -o nospace 2>/dev/null
}

_bantam() {
	local line=${COMP_LINE:0:COMP_POINT} words verb text i nr=0 before=""
	COMPREPLY=()
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=("")
	verb=${words[1]-} text=${words[-1]}
	if [ ${#words[@]} -le 2 ]; then
		_bantam_words "$_bantam_verbs" "$text" ""
		return
	fi
	for ((i = 2; i < ${#words[@]} - 1; i++)); do
		if [ "$verb" = sandbox ] && [[ ${words[i]} != -* ]]; then
			_bantam_files "$text" "" # what the command is given
			return
		elif [ -n "${_bantam_args[$verb ${words[i]}]-}" ] && ((i + 1 < ${#words[@]} - 1)); then
			i=$((i + 1))
		elif [[ ${words[i]} != -* ]]; then
			nr=$((nr + 1))
		fi
	done
	local option=${words[-2]}
	if [ -n "${_bantam_args[$verb $option]-}" ]; then
		_bantam_value "${_bantam_args[$verb $option]}" "$text" ""
	elif [[ $text == --*=* ]]; then
		before=${text%%=*}
		_bantam_value "${_bantam_args[$verb $before]-}" "${text#*=}" "$before="
	elif [[ $text == -* ]]; then
		_bantam_words "${_bantam_options[$verb]-}" "$text" ""
	else
		_bantam_word "$verb" "$nr" "$text"
	fi
	_bantam_trim "$text"
}

complete -F _bantam bantam
