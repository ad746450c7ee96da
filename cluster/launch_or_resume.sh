#!/bin/bash
# launch_or_resume.sh SPACE --name NAME [options of tune.py]
#
# Launches the run if it isn't there yet, and goes on with it otherwise: what is to be started again after an
# interruption can be started by one and the same command. A run goes on as it was launched, so of the options
# only those are passed on that --resume takes.
#
# launch_or_resume.sh --where SPACE --name NAME …  prints the run's directory, and starts nothing
set -euo pipefail

tune=(python "$(dirname "${BASH_SOURCE[0]}")/../tune.py")
where='' explicit=''
if [ "${1-}" = --where ]; then
    where=yes
    shift
fi
arguments=("$@") storage=runs name='' resumed=()

while (($#)); do
    case $1 in
        --resume=*) explicit=${1#*=} ;;&
        --resume) explicit=${2-} ;;&
        --resume | --resume=* | --help)
            [ -z "$where" ] || exec echo "$explicit"
            exec "${tune[@]}" "${arguments[@]}"
            ;;
        --*=* | --dry-run | --prepare | --retry-failed | [!-]*) option=("$1") ;;
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
[ -z "$where" ] || exec echo "$run"
code=0
"${tune[@]}" --resume "$run" --dry-run >/dev/null 2>&1 || code=$?
if ((code == 3 || code > 128)); then
    exit "$code" # told to stop, which nothing is to be started after
fi
if ((code == 0)); then
    exec "${tune[@]}" --resume "$run" ${resumed[@]+"${resumed[@]}"}
fi
exec "${tune[@]}" "${arguments[@]}"
