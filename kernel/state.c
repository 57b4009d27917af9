// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine of a session. Rows are states, columns events; an empty field is refused.
 *
 *               release     grace    attach       resume  lose        supersede   fail    clear
 *  LIVE         DETACHED    -        -            -       -           SUPERSEDED  FAILED  -
 *  DETACHED     -           FAILED   RECOVERING   -       -           -           FAILED  -
 *  RECOVERING   (origin)    -        -            LIVE    CACHE_LOST  SUPERSEDED  FAILED  -
 *  FAILED       FAILED      -        RECOVERING   -       -           -           -       -
 *  CACHE_LOST   CACHE_LOST  -        CACHE_LOST   -       CACHE_LOST  -           -       LIVE
 *  SUPERSEDED   SUPERSEDED  -        SUPERSEDED   -       -           -           -       -
 *
 * What the state does to requests: LIVE passes them on, DETACHED and RECOVERING from DETACHED hold
 * them, all else fails them. Release, supersede and fail kill the daemon's queue fds.
 */
#include <linux/errno.h>
#include <linux/jiffies.h>

#include "session.h"

#define TO(state) (ZEROFS_S_##state + 1)
#define ORIGIN	  (ZEROFS_S_NR + 1)

static const u8 edges[ZEROFS_S_NR][ZEROFS_EV_NR] = {
	[ZEROFS_S_LIVE] = {
		[ZEROFS_EV_RELEASE] = TO(DETACHED),
		[ZEROFS_EV_SUPERSEDE] = TO(SUPERSEDED),
		[ZEROFS_EV_FAIL] = TO(FAILED),
	},
	[ZEROFS_S_DETACHED] = {
		[ZEROFS_EV_GRACE] = TO(FAILED),
		[ZEROFS_EV_ATTACH] = TO(RECOVERING),
		[ZEROFS_EV_FAIL] = TO(FAILED),
	},
	[ZEROFS_S_RECOVERING] = {
		[ZEROFS_EV_RELEASE] = ORIGIN,
		[ZEROFS_EV_RESUME] = TO(LIVE),
		[ZEROFS_EV_LOSE] = TO(CACHE_LOST),
		[ZEROFS_EV_SUPERSEDE] = TO(SUPERSEDED),
		[ZEROFS_EV_FAIL] = TO(FAILED),
	},
	[ZEROFS_S_FAILED] = {
		[ZEROFS_EV_RELEASE] = TO(FAILED),
		[ZEROFS_EV_ATTACH] = TO(RECOVERING),
	},
	[ZEROFS_S_CACHE_LOST] = {
		[ZEROFS_EV_RELEASE] = TO(CACHE_LOST),
		[ZEROFS_EV_ATTACH] = TO(CACHE_LOST),
		[ZEROFS_EV_LOSE] = TO(CACHE_LOST),
		[ZEROFS_EV_CLEAR] = TO(LIVE),
	},
	[ZEROFS_S_SUPERSEDED] = {
		[ZEROFS_EV_RELEASE] = TO(SUPERSEDED),
		[ZEROFS_EV_ATTACH] = TO(SUPERSEDED),
	},
};

const char *zerofs_state_name(enum zerofs_state state)
{
	static const char *const names[ZEROFS_S_NR] = {
		[ZEROFS_S_LIVE] = "live",
		[ZEROFS_S_DETACHED] = "detached",
		[ZEROFS_S_RECOVERING] = "recovering",
		[ZEROFS_S_FAILED] = "failed",
		[ZEROFS_S_CACHE_LOST] = "cache_lost",
		[ZEROFS_S_SUPERSEDED] = "superseded",
	};

	return state < ZEROFS_S_NR ? names[state] : "?";
}

enum zerofs_gate zerofs_state_gate(const struct zerofs_session *s)
{
	lockdep_assert_held(&s->lock);
	switch (s->state) {
	case ZEROFS_S_LIVE:
		return ZEROFS_GATE_PASS;
	case ZEROFS_S_DETACHED:
		return ZEROFS_GATE_HOLD;
	case ZEROFS_S_RECOVERING:
		return s->origin == ZEROFS_S_DETACHED ? ZEROFS_GATE_HOLD : ZEROFS_GATE_FAIL;
	default:
		return ZEROFS_GATE_FAIL;
	}
}

/* ---- grace -------------------------------------------------------------------------------- */

static void grace_start(struct zerofs_session *s)
{
	if (s->grace_ms == ZEROFS_GRACE_FOREVER)
		return;
	s->grace_end = jiffies + msecs_to_jiffies(s->grace_ms);
	zerofs_session_get(s);
	if (!queue_delayed_work(zerofs_session_wq, &s->grace, msecs_to_jiffies(s->grace_ms)))
		zerofs_session_put(s);
}

static void grace_stop(struct zerofs_session *s)
{
	if (cancel_delayed_work(&s->grace))
		zerofs_session_put(s);
}

static void grace_work(struct work_struct *work)
{
	struct zerofs_session *s =
		container_of(to_delayed_work(work), struct zerofs_session, grace);

	mutex_lock(&s->lock);
	/* One that was too late to be stopped must not end a later grace before its time. */
	if (s->state == ZEROFS_S_DETACHED && s->grace_ms != ZEROFS_GRACE_FOREVER &&
	    !time_before(jiffies, s->grace_end)) {
		pr_err("zerofs: %s: no daemon came back within %u ms: I/O fails from here on\n",
		       s->name, s->grace_ms);
		zerofs_state_event(s, ZEROFS_EV_GRACE, 0);
	}
	mutex_unlock(&s->lock);
	zerofs_session_put(s);
}

u32 zerofs_state_grace_left(const struct zerofs_session *s)
{
	unsigned long now = jiffies;

	lockdep_assert_held(&s->lock);
	if (s->state != ZEROFS_S_DETACHED)
		return 0;
	if (s->grace_ms == ZEROFS_GRACE_FOREVER)
		return ZEROFS_GRACE_FOREVER;
	return time_before(now, s->grace_end) ? jiffies_to_msecs(s->grace_end - now) : 0;
}

/* ---- restart ------------------------------------------------------------------------------ */

static void run_queues(struct zerofs_session *s)
{
	struct zerofs_dev *dev;

	list_for_each_entry(dev, &s->devs, node)
		zerofs_dev_run(dev);
}

/*
 * blk-mq puts a request that found no room back on its list only after ->queue_rq has returned: a
 * run that comes in between finds nothing and is lost. All of that happens within one RCU read
 * side section, so a second run after a grace period finds it. `restart_again` is for restarts
 * asked for while that second run is pending, whose grace period may have begun too early.
 */
void zerofs_state_restart(struct zerofs_session *s)
{
	lockdep_assert_held(&s->lock);
	if (list_empty(&s->devs))
		return;
	run_queues(s);
	s->restart_again = true;
	zerofs_session_get(s);
	if (!queue_rcu_work(zerofs_session_wq, &s->restart))
		zerofs_session_put(s);
}

static void restart_work(struct work_struct *work)
{
	struct zerofs_session *s = container_of(to_rcu_work(work), struct zerofs_session, restart);
	bool again;

	mutex_lock(&s->lock);
	again = s->restart_again && !list_empty(&s->devs);
	s->restart_again = false;
	run_queues(s);
	if (again) {
		zerofs_session_get(s);
		if (!queue_rcu_work(zerofs_session_wq, &s->restart))
			zerofs_session_put(s);
	}
	mutex_unlock(&s->lock);
	zerofs_session_put(s);
}

void zerofs_state_init(struct zerofs_session *s)
{
	INIT_DELAYED_WORK(&s->grace, grace_work);
	INIT_RCU_WORK(&s->restart, restart_work);
}

/* ---- the one function --------------------------------------------------------------------- */

int zerofs_state_event(struct zerofs_session *s, enum zerofs_event ev, int err)
{
	u8 to = edges[s->state][ev];
	enum zerofs_state from = s->state;
	enum zerofs_gate gate;
	struct zerofs_dev *dev;

	lockdep_assert_held(&s->lock);
	if (!to)
		return -EBADFD;
	s->state = to == ORIGIN ? s->origin : to - 1;
	if (s->state == ZEROFS_S_RECOVERING)
		s->origin = from;
	if (s->state == ZEROFS_S_LIVE)
		s->arena->live = true;
	if (s->conn)
		WRITE_ONCE(s->conn->k->state, s->state);

	gate = zerofs_state_gate(s);
	list_for_each_entry(dev, &s->devs, node) {
		zerofs_dev_set_gate(dev, gate, s->arena, err);
		if (ev == ZEROFS_EV_RELEASE || ev == ZEROFS_EV_SUPERSEDE || ev == ZEROFS_EV_FAIL)
			zerofs_dev_unbind(dev, err);
	}
	if (s->state == ZEROFS_S_DETACHED)
		grace_start(s);
	else
		grace_stop(s);
	/* What starved under the old gate must meet the new one. */
	zerofs_state_restart(s);
	return 0;
}
