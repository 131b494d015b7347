#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Everything that can be said about the sources without running them. Goes on after a failure; says at the end which failed.
cd "$(dirname "$0")/.." || exit 1
failed=()
jobs=${JOBS:-2}

check()
{
	local name=$1 start=$SECONDS
	shift
	if "$@"; then
		echo "lint: $name: fine ($((SECONDS - start)) s)"
	else
		echo "lint: $name: FAILED"
		failed+=("$name")
	fi
}

files() # of these kinds, tracked or about to be
{
	git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
		[ ! -e "$file" ] || echo "$file"
	done
}

format()
{
	files '*.c' '*.h' | grep -v '^vmlinux/' | xargs -r clang-format --dry-run -Werror
}

tidy()
{
	local flags
	flags=$(make -s print-flags) || return 1
	# shellcheck disable=SC2016 # the inner shell expands these
	files 'src/*.c' | FLAGS=$flags xargs -r -P "$jobs" -n 4 \
		sh -c 'out=$(eval "clang-tidy --quiet $* -- $FLAGS" 2>&1) || { printf "%s\n" "$out"; exit 1; }' sh
}

compilers()
{
	make -s -j"$jobs" BUILD=build/lint-gcc CC=gcc WERROR=1 all test-programs &&
		make -s -j"$jobs" BUILD=build/lint-clang CC=clang WERROR=1 all test-programs &&
		make -s -j"$jobs" all # clang-tidy reads its skeleton
}

scripts()
{
	{
		files '*.sh'
		files '*' | xargs -r grep -lE '^#!.*(/|env )(ba|da)?sh$'
	} | sort -u | xargs -r shellcheck
}

pages()
{
	files 'man/*' | xargs -r mandoc -Tlint -Wwarning
}

spdx()
{
	local without
	without=$(files '*.c' '*.h' '*.sh' '*.t' '*.awk' '*.py' Makefile .ci/run |
		while read -r file; do head -n 3 "$file" | grep -q SPDX-License-Identifier || echo "$file"; done)
	[ -z "$without" ] || { echo "no SPDX line: $without"; false; }
}

check "both compilers" compilers
check clang-format format
check clang-tidy tidy
check shellcheck scripts
check mandoc pages
check layers .ci/check-layers.sh
check SPDX spdx

[ ${#failed[@]} = 0 ] || { printf 'lint failed: %s\n' "${failed[*]}"; exit 1; }
