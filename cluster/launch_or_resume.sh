#!/bin/bash
# launch_or_resume.sh SPACE --name NAME [options of tune.py]
#
# Launches the run if it isn't there yet, and goes on with it otherwise: what is to be started again after an
# interruption can be started by one and the same command. A run goes on as it was launched, so of the options
# only those are passed on that --resume takes.
set -euo pipefail

tune=(python "$(dirname "${BASH_SOURCE[0]}")/../tune.py")
arguments=("$@") storage=runs name='' resumed=()

while (($#)); do
    case $1 in
        --resume | --resume=* | --help) exec "${tune[@]}" "${arguments[@]}" ;;
        --*=* | --dry-run | --prepare | [!-]*) option=("$1") ;;
        *) option=("${@:1:2}") ;;
    esac
    shift ${#option[@]}
    value=${option[1]-${option[0]#*=}}
    case ${option[0]%%=*} in
        --name) name=$value ;;
        --storage) storage=$value ;;
        --ledger | --methods | --epochs | --seeds | --set | [!-]*) ;;
        *) resumed+=("${option[@]}") ;;
    esac
done

if [ -z "$name" ]; then
    echo 'error: give the run a --name: by its name it is found again' >&2
    exit 2
fi
run="${storage%/}/$name"
if "${tune[@]}" --resume "$run" --dry-run >/dev/null 2>&1; then
    exec "${tune[@]}" --resume "$run" ${resumed[@]+"${resumed[@]}"}
fi
exec "${tune[@]}" "${arguments[@]}"
