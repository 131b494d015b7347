// SPDX-License-Identifier: GPL-2.0-only
/* Every map, knob and counter of the programs, defined once. */
#include "portlog.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct ring ring SEC(".maps");
struct tracked tracked SEC(".maps");
struct calls calls SEC(".maps");
struct requests requests SEC(".maps");
struct early early SEC(".maps");
struct conflicts conflicts SEC(".maps");
struct walks walks SEC(".maps");
struct known known SEC(".maps");
struct lingering lingering SEC(".maps");
struct tree tree SEC(".maps");

const volatile unsigned int opt_netns[PL_NETNS_MAX] = {};
const volatile unsigned int opt_netns_count = 0;
const volatile bool opt_ports = false;
const volatile unsigned char opt_port_bits[65536 / 8] = {};
const volatile bool opt_failed_only = false;
const volatile bool opt_ephemeral = false;
const volatile unsigned int opt_pid = 0;
const volatile unsigned int opt_pidns = 0;
const volatile unsigned int opt_tree = 0;
const volatile unsigned long long zeros[16] = {};
const volatile int opt_nr_bind = 0;
const volatile int opt_nr_listen = 0;

unsigned int reader_awake = 0;
unsigned long long barrier = 0;
unsigned long long lost[PL_KIND_MAX] = {};
unsigned long long lost_failed[PL_KIND_MAX] = {};
unsigned long long tracked_full = 0;
unsigned long long tree_full = 0;
unsigned long long hidden_binds = 0;
unsigned int watch_lingering = 0;
unsigned int any_lingered = 0;
unsigned int tell_owners = 0;
unsigned long long wanted_sk = 0;
