/* SPDX-License-Identifier: GPL-2.0-only */
/* What `why` found out of one port in one table: binds that were judged, and what else bears on them. Facts alone. */
#ifndef CORE_ANSWER_H
#define CORE_ANSWER_H

#include "core/explain.h"
#include "core/verdict.h"

#define ANSWER_ASKS_MAX 2 /* 0.0.0.0 and [::] */
#define ELSEWHERE_MAX 4   /* holders in other namespaces that are named */
#define BOUND_FOR_MAX 128
#define ANSWER_NAME_MAX 64

/* One bind that was judged, with the options as given and with others. */
struct ask {
	struct asker asker;
	struct verdict verdict;
	struct verdict bare;         /* without SO_REUSEADDR; as verdict when that is not asked for */
	struct verdict shared;       /* with SO_REUSEPORT too */
	struct verdict allowed;      /* with CAP_NET_BIND_SERVICE; as verdict but where that is EACCES */
	struct verdict allowed_bare; /* as allowed, without SO_REUSEADDR */
	struct verdict only6;        /* with IPV6_V6ONLY too; as verdict but for [::] */
	struct holder
		*in_way; /* best first: of verdict or allowed, else of bare, else those of a race; owned */
	size_t n_in_way;
	struct explanation explanation; /* code NULL: there is nothing to explain */
	struct explanation
		behind; /* of in_way, where explanation is of EACCES; code NULL: nobody is in the way */
};

/* Somebody holds the same port where it does not matter. */
struct elsewhere {
	struct holder holder;
	uint32_t netns;
	char netns_name[ANSWER_NAME_MAX]; /* empty: none */
};

/* A process that holds a port for somebody else: init for a service, a proxy for a container. */
struct bound_for {
	char unit[BOUND_FOR_MAX];      /* the .socket; empty: none */
	char service[BOUND_FOR_MAX];   /* what it starts; empty: unknown */
	char container[BOUND_FOR_MAX]; /* name, else address; empty: none */
};

struct port_answer {
	enum proto proto;
	uint16_t port;
	uint32_t netns;
	char netns_name[ANSWER_NAME_MAX]; /* these are empty when there is none */
	char service[ANSWER_NAME_MAX];    /* /etc/services */
	uint32_t uid;
	char user_name[ANSWER_NAME_MAX];
	bool reuseaddr_given; /* the caller said how it binds: no other way is told */
	struct ask asks[ANSWER_ASKS_MAX];
	size_t n_asks;
	bool single; /* an address was asked about: the only ask is for it */
	enum reach reach;
	bool history;             /* a recorder has kept one, which may know who had the port before */
	bool ephemeral, reserved; /* in ip_local_port_range and not reserved; in ip_local_reserved_ports */
	uint16_t range_low, range_high;
	int unprivileged_port_start; /* -1: unknown */
	struct elsewhere elsewhere[ELSEWHERE_MAX];
	size_t n_elsewhere;         /* may be more than there is room for */
	struct bound_for bound_for; /* of the best holder */
	char redirect[160]; /* a rule of the firewall that leads the port elsewhere; empty: none known */
	char user_of_holder[ANSWER_NAME_MAX]; /* name of the best holder's uid */
	uint64_t now_ns;                      /* boot clock */
	int64_t boot_offset_ns;               /* wall clock minus boot clock */
};

/* Do two asks mean the same to a person? Then they are told as one. */
bool asks_equal(const struct ask *a, const struct ask *b);

/*
 * Is the port of one number refused to the user in both tables, for the same reason? Then they are told as one.
 * @tcp, @udp: what was asked of one port.
 */
bool answers_refused_alike(const struct port_answer *tcp, const struct port_answer *udp);

/* Would some bind of it fail, or may it? What the exit status is about. */
bool answer_may_fail(const struct port_answer *a);

void answer_done(struct port_answer *a);

#endif
