// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One log, its heads, and processes that attach to it: docs/DESIGN.md 2.5 to 2.10, for spin.
 *
 * Writer 1 owns the volume at the start; the others attach, each once, since each start of a daemon
 * is somebody new. Who is no longer scheduled is dead or frozen; who is scheduled again has thawed.
 * A request that was sent reaches the store at any later time, or never, also when its sender is
 * over, and what creates may do so again: it works when the name is free then. Answers come at any
 * later time or never. A repeated request that finds its name taken looks at the object; objects do
 * not change. So sending, arriving and learning need steps of their own, and nothing else does.
 *
 * A data object holds one operation, whose number is `last`; numbers before it in its range are
 * void. All operations write the same block, so the map needs the data object with the highest
 * number. Each operation that is committed counts as a flush that was answered.
 *
 * -D adds to a run:
 *   CKPT	checkpoints and their heads; any head but the newest may be deleted at any time
 *   DELETE	deletion of dead segments behind a durable head, with the LIST after the fence that
 *		it asks for (docs/DESIGN.md 2.10)
 *   ADOPT	daemons die, and the next one on that host finds the arena
 *   LOSE	the store loses an object where 2.10 says that this can be told
 *   BUG_*	a fault, each of which must be found: run.sh lists them
 */
#ifndef W
#define W 2
#endif
#ifndef WRITERS
#define WRITERS 3
#endif
#ifndef OPS1
#define OPS1 2 /* operations of writer 1 */
#endif
#ifndef OPS
#define OPS 1 /* and of each of the others */
#endif
#ifndef CKPTS
#define CKPTS 1 /* checkpoints of each writer */
#endif
#define SLOTS 12
#define HEADS 8
#define JUMP 4 /* more than a writer gives out beyond what the store shows */

#define BIT(n) (1 << (n))
#define ID(s, w) ((s) * 8 + (w)) /* stands for an object's hash */
#define O(w, s) obj[((w) - 1) * SLOTS + (s)]
#define AT(s) obj[(slot[s] - 1) * SLOTS + (s)] /* the object in a slot that is taken */
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define LACKS(image, what) (((image) & (what)) != (what))
#define EVERY_SLOT(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)

#define DATA 1
#define FENCE 2

typedef object {
	byte kind;
	byte prev;
	byte first;	/* fence: the number before it */
	byte last;
	byte to		/* data: durable to; fence: resume_wno */
};

typedef image {
	byte from;	/* replay_from */
	byte chain;	/* what was applied before it */
	byte last;	/* number */
	byte live;	/* slot that the map needs */
	short has		/* operations */
};

typedef head_object {
	byte own;	/* 0: there is none */
	byte epoch;
	image i
};

mtype = { start, claim, walk, gap, relook, fencing, check, serve, over };

typedef writer_state {
	mtype st;
	byte epoch;
	byte head;	/* version of my newest head; in `claim`, of the one I try to make */
	image i;	/* applied */
	byte seq;	/* walk: the slot looked at */
	byte chain;	/* the last object gone over, or sealed */
	byte over_epoch; /* walk: its epoch */
	byte known;	/* walk: highest resume_wno of a fence */
	bit proof;	/* walk: something behind `seq` says that it was there */
	byte fence;	/* slot of my fence */
	bit late;	/* when it arrived, my image lacked an answered flush */
	bit served;
	byte first;	/* number of mine */
	byte next;	/* number to give */
	byte sealed;	/* last number in a batch */
	byte lowest;	/* slot that is not durable */
	byte free;	/* slot of the next batch */
	byte ops;
	short durable;	/* slots beyond `lowest` that are */
	byte ckpts;
	byte put;	/* version of a checkpoint's head on its way, 0: none */
	image c;	/* what it will name */
	byte swept;	/* LIST of segments: slots looked at, */
	byte sweep_to;	/* to be looked at, */
	byte keep;	/* what the durable head needs of them */
	short del		/* deletions on their way */
};

byte slot[SLOTS];	/* who has it, 0: free */
object obj[WRITERS * SLOTS];	/* what a writer has sent for a slot */
head_object heads[HEADS];
byte newest;
writer_state x[WRITERS + 1];
short answered[WRITERS + 1];	/* numbers of flushed operations, by who said so */
short all_answered;
short given;	/* numbers */
bit lost;

hidden byte k, n, found; /* `k = 0` at an end: a d_step may not end in a loop */

#define CLEAR(img) \
	img.from = 0; \
	img.chain = 0; \
	img.last = 0; \
	img.live = 0; \
	img.has = 0
#define COPY(img, img2) \
	img.from = img2.from; \
	img.chain = img2.chain; \
	img.last = img2.last; \
	img.live = img2.live; \
	img.has = img2.has

/* Something in (n, n + W) says that slot n was there. */
inline look_behind()
{
	found = 0;
	k = n + 1;
	do
	:: k < n + W && k < SLOTS ->
		if
		:: slot[k] -> found = found || AT(k).kind == FENCE || AT(k).to > n
		:: else
		fi;
		k++
	:: else -> break
	od
}

/* Or anything at or beyond n + W. Adds to `found`. */
inline look_far()
{
	k = n + W;
	do
	:: k < SLOTS ->
		found = found || slot[k];
		k++
	:: else -> break
	od
}

/* ---- the network and the store -------------------------------------------------------------- */

/* A create of slot @s arrives. */
#define ARRIVE(s) \
	:: d_step { !slot[s] && O(w, s).kind -> \
		slot[s] = w; \
		if \
		:: x[w].st == fencing && x[w].seq == s && LACKS(x[w].i.has, all_answered) -> \
			x[w].late = 1 \
		:: else \
		fi \
	}

/* A deletion of slot @s arrives. */
#define VANISH(s) \
	:: d_step { (x[w].del & BIT(s)) && slot[s] -> \
		x[w].del = x[w].del & ~BIT(s); \
		assert(s < heads[newest].i.from && s != heads[newest].i.live); \
		k = 1; \
		do \
		:: k <= WRITERS -> \
			assert(x[k].st != serve || x[k].head != newest || s != x[k].i.live); \
			k++ \
		:: else -> break \
		od; \
		slot[s] = 0 \
	}

/*
 * Slot @s holds a flush that was answered, and is lost; not from under somebody who has looked at
 * it and makes his fence there.
 */
#define LOOKS(v, s) ((x[v].seq == s && x[v].st == gap) || O(v, s).kind == FENCE)
#define LOSE_SLOT(s) \
	:: d_step { w == 1 && !lost && slot[s] && AT(s).kind == DATA && \
		    (all_answered & BIT(AT(s).last)) && !LOOKS(2, s) && !LOOKS(3, s) -> \
		n = s; \
		look_behind(); \
		look_far(); \
		if \
		:: found -> slot[s] = 0; lost = 1 \
		:: else \
		fi \
	}

#define PUT_HEAD(v, img) \
	heads[v].own = w; \
	heads[v].epoch = x[w].epoch; \
	COPY(heads[v].i, img); \
	newest = MAX(newest, v)

/* Heads that are not the newest go. */
inline old_heads()
{
	k = 1;
	do
	:: k < newest ->
		heads[k].own = 0;
#ifndef BUG_TRUST_VERSION
		heads[k].epoch = 0;
		CLEAR(heads[k].i);
#endif
		k++
	:: else -> break
	od;
	k = 0
}

/* Where two have done the same so far it is all the same who is first. */
#define CLAIM_ARRIVES(w) \
	(x[w].st == claim && !heads[x[w].head].own && \
	 (w == 2 || x[w - 1].st != claim || x[w - 1].head != x[w].head))

proctype net(byte w)
{
	do
	EVERY_SLOT(ARRIVE)
	:: d_step { CLAIM_ARRIVES(w) -> PUT_HEAD(x[w].head, x[w].i) }
#ifdef CKPT
	:: d_step { CLAIM_ARRIVES(w) ->
		PUT_HEAD(x[w].head, x[w].i);
		old_heads()
	}
	:: d_step { x[w].put && !heads[x[w].put].own -> PUT_HEAD(x[w].put, x[w].c) }
	:: d_step { x[w].put && !heads[x[w].put].own ->
		PUT_HEAD(x[w].put, x[w].c);
		old_heads()
	}
#endif
#ifdef DELETE
	EVERY_SLOT(VANISH)
#endif
#ifdef LOSE
	EVERY_SLOT(LOSE_SLOT)
#endif
	od
}

/* ---- a writer ------------------------------------------------------------------------------- */

/* What is sent stays on its way. */
inline end(w)
{
	x[w].st = over;
	x[w].head = 0;
	x[w].seq = 0;
	x[w].chain = 0;
	x[w].over_epoch = 0;
	x[w].known = 0;
	x[w].proof = 0;
	x[w].fence = 0;
	x[w].next = 0;
	x[w].sealed = 0;
	x[w].lowest = 0;
	x[w].free = 0;
	x[w].ops = 0;
	x[w].durable = 0;
	x[w].ckpts = 0;
	x[w].swept = 0;
	x[w].sweep_to = 0;
	x[w].keep = 0;
	x[w].i.from = 0;
	x[w].i.chain = 0;
	x[w].i.last = 0;
	x[w].i.live = 0
}

/* The volume cannot be attached: only a lost object, or a newer owner, is a reason. */
inline refuse(w)
{
	assert(lost || newest > x[w].head);
	end(w)
}

inline claimed(w)
{
	x[w].seq = x[w].i.from;
	x[w].chain = x[w].i.chain;
	x[w].st = walk
}

/* No flush that an earlier owner answered is missing in what I serve. */
inline serving(w)
{
	assert(!x[w].late);
	k = 1;
	do
	:: k <= WRITERS ->
		assert(x[k].epoch >= x[w].epoch || !LACKS(x[w].i.has, answered[k]));
		k++
	:: else -> break
	od;
	x[w].st = serve;
	x[w].served = 1
}

/* My fence is in slot `seq`. */
inline fenced(w)
{
	x[w].fence = x[w].seq;
	x[w].first = O(w, x[w].seq).to;
	x[w].next = x[w].first;
	x[w].sealed = x[w].i.last;
	x[w].chain = ID(x[w].seq, w);
#ifdef BUG_RESUME_NEXT
	x[w].lowest = x[w].seq + 1;
#else
	x[w].lowest = x[w].seq + W;
#endif
	x[w].free = x[w].lowest;
	x[w].seq = 0;
	x[w].over_epoch = 0;
	x[w].known = 0;
#ifdef DELETE
	x[w].st = check
#else
	serving(w)
#endif
}

/* The object in slot `seq`. */
inline take_object(w)
{
	k = x[w].seq;
	if
#ifdef BUG_EPOCH_BEFORE_NONCE
	:: x[slot[k]].epoch >= x[w].epoch ->
		assert(slot[k] != w);
		end(w)
#endif
	:: slot[k] == w -> fenced(w)
#ifndef BUG_IGNORE_EPOCH
	:: slot[k] != w && x[slot[k]].epoch >= x[w].epoch -> end(w)
#endif
	:: else ->
		if
		:: AT(k).prev != x[w].chain || x[slot[k]].epoch < x[w].over_epoch ||
		   (AT(k).kind == DATA && AT(k).first != x[w].i.last + 1) ||
		   (AT(k).kind == FENCE && AT(k).first != x[w].i.last) -> refuse(w)
		:: else ->
			x[w].chain = ID(k, slot[k]);
			x[w].over_epoch = x[slot[k]].epoch;
			if
			:: AT(k).kind == FENCE ->
#ifndef BUG_FORGET_RESUME_WNO
				x[w].known = MAX(x[w].known, AT(k).to);
#endif
#ifdef BUG_RESUME_NEXT
				x[w].seq++
#else
				x[w].seq = k + W
#endif
			:: else ->
				x[w].i.from = k + 1;
				x[w].i.chain = x[w].chain;
				x[w].i.last = AT(k).last;
				x[w].i.live = k;
				x[w].i.has = x[w].i.has | BIT(AT(k).last);
				x[w].seq++
			fi;
			assert(x[w].seq < SLOTS - W)
		fi
	fi
}

/*
 * And those behind it. Where nothing is deleted it is all the same when each of them was looked at.
 */
inline take_objects(w)
{
	x[w].st = walk;
	take_object(w);
#ifndef DELETE
	do
	:: x[w].st == walk && slot[x[w].seq] -> take_object(w)
	:: else -> break
	od;
#endif
	k = 0
}

inline send_fence(w)
{
	k = x[w].seq;
	O(w, k).kind = FENCE;
	O(w, k).prev = x[w].chain;
	O(w, k).first = x[w].i.last;
	O(w, k).to = MAX(x[w].known, x[w].i.last) + JUMP;
#ifdef BUG_NO_FENCE
	fenced(w);
	x[w].lowest = k;
	x[w].free = k;
	O(w, k).kind = 0
#else
	x[w].st = fencing
#endif
}

/* The number of an operation that is answered now, or found in the arena. */
inline number(w)
{
	n = 0;
#ifdef ADOPT
	if
	:: w > 1 && x[w].sealed == x[w].i.last ->
		k = x[w].first;
		do
		:: k > x[w].i.last + 1 ->
			k--;
			n = ((given & BIT(k)) -> k : n)
		:: else -> break
		od
	:: else
	fi;
#endif
	if
	:: n == 0 ->
		n = x[w].next;
		x[w].next++;
		assert(n < 15 && !(given & BIT(n)));
		given = given | BIT(n);
		x[w].ops++
	:: else
	fi
}

inline send_batch(w)
{
	k = x[w].free;
	O(w, k).kind = DATA;
	O(w, k).prev = x[w].chain;
	O(w, k).first = x[w].sealed + 1;
	O(w, k).last = n;
	O(w, k).to = x[w].lowest;
	x[w].sealed = n;
	x[w].chain = ID(k, w);
	x[w].free++;
	assert(x[w].free < SLOTS)
}

/* A flush of operation @op is answered: it is in the image of whoever owns the volume by now. */
inline answer(w, op)
{
	answered[w] = answered[w] | BIT(op);
	all_answered = all_answered | BIT(op);
	k = 1;
	do
	:: k <= WRITERS ->
		assert(!x[k].served || x[k].epoch <= x[w].epoch || !LACKS(x[k].i.has, BIT(op)));
		k++
	:: else -> break
	od;
	k = 0
}

/* The lowest slot is durable. */
inline commit(w)
{
	k = x[w].lowest;
	n = O(w, k).last;
	x[w].i.from = k + 1;
	x[w].i.chain = ID(k, w);
	x[w].i.last = n;
	x[w].i.live = k;
	x[w].i.has = x[w].i.has | BIT(n);
	x[w].durable = x[w].durable & ~BIT(k);
	x[w].lowest++;
	answer(w, n)
}

inline superseded(w)
{
#ifdef BUG_NEXT_SLOT
	k = x[w].lowest;
	n = O(w, k).last;
	x[w].lowest++;
	send_batch(w)
#else
	end(w)
#endif
}

inline checkpoint(w)
{
	COPY(x[w].c, x[w].i);
	x[w].ckpts++;
	x[w].put = x[w].head + 1;
	assert(x[w].put < HEADS);
#ifdef BUG_DELETE_BEFORE_HEAD
	x[w].keep = x[w].c.live;
	x[w].swept = 0;
	x[w].sweep_to = x[w].c.from
#endif
}

/* The head of my checkpoint is there, and the newest. */
inline checkpointed(w)
{
	x[w].head = x[w].put;
	x[w].put = 0;
#ifdef DELETE
	x[w].keep = x[w].c.live;
	x[w].swept = 0;
	x[w].sweep_to = x[w].c.from;
#endif
	CLEAR(x[w].c)
}

/* The next slot in the LIST of segments. */
inline sweep(w)
{
	k = x[w].swept;
#ifdef BUG_DELETE_BY_MAP
	x[w].keep = x[w].i.live;
#endif
	if
#ifdef BUG_DELETE_FENCE
	:: slot[k] && k != x[w].keep -> x[w].del = x[w].del | BIT(k)
#else
	:: slot[k] && k != x[w].keep && AT(k).kind == DATA -> x[w].del = x[w].del | BIT(k)
#endif
	:: else
	fi;
	x[w].swept++
}

#ifdef BUG_NO_RELIST
#define IS_NEWEST(v) true
#else
#define IS_NEWEST(v) ((v) == newest)
#endif
#if !defined(DELETE) || defined(BUG_NO_LIST_AFTER_FENCE) || defined(BUG_TRUST_VERSION)
#define MAY_SERVE(v) true
#else
#define MAY_SERVE(v) ((v) == newest)
#endif
#ifdef BUG_COUNT_WINDOW
#define IN_WINDOW(w) (x[w].free < x[w].lowest + W + (x[w].durable != 0))
#else
#define IN_WINDOW(w) (x[w].free < x[w].lowest + W)
#endif
#ifdef BUG_EARLY_CHECKPOINT
#define TELLS_NUMBERS(w) true
#else
#define TELLS_NUMBERS(w) (x[w].i.from <= x[w].fence || x[w].i.last + 1 >= x[w].first)
#endif
#ifdef ADOPT
#define MAY_START(w) (x[w - 1].st == over)
#else
#define MAY_START(w) (x[w - 1].epoch != 0)
#endif
#define MOST(w) (w == 1 -> OPS1 : OPS)

/* The answer to the PUT of a slot behind the lowest one. */
#define LEARN(s) \
	:: d_step { x[w].st == serve && x[w].lowest < s && s < x[w].free && slot[s] == w && \
		    !(x[w].durable & BIT(s)) -> \
		x[w].durable = x[w].durable | BIT(s); \
		answer_early(w, s) \
	}

inline answer_early(w, s)
{
#ifdef BUG_ANSWER_OUT_OF_ORDER
	answer(w, O(w, s).last)
#else
	skip
#endif
}

proctype writer(byte w)
{
	do
	/* LIST, GET of the newest head */
	:: d_step { x[w].st == start && MAY_START(w) ->
#ifdef BUG_TRUST_VERSION
		x[w].head = 2;
		x[w].epoch = 2;
#else
		x[w].head = newest + 1;
		x[w].epoch = heads[newest].epoch + 1;
		COPY(x[w].i, heads[newest].i);
#endif
		assert(x[w].head < HEADS);
		x[w].st = claim
	}
	/* the head's name is taken, by me or by another; LIST */
	:: d_step { x[w].st == claim && heads[x[w].head].own == w ->
#ifdef BUG_TRUST_VERSION
		claimed(w)
#else
		if
		:: IS_NEWEST(x[w].head) -> claimed(w)
		:: else -> end(w)
		fi
#endif
	}
	:: d_step { x[w].st == claim && heads[x[w].head].own && heads[x[w].head].own != w ->
#ifdef BUG_TRUST_VERSION
		COPY(x[w].i, heads[x[w].head].i);
		x[w].epoch = heads[x[w].head].epoch + 1;
		x[w].head++
#else
		x[w].st = start
#endif
	}
	/* GET of a slot and of those behind it */
	:: d_step { x[w].st == walk && slot[x[w].seq] -> take_objects(w) }
	:: d_step { x[w].st == walk && !slot[x[w].seq] ->
		n = x[w].seq;
		look_behind();
		x[w].proof = found;
		x[w].st = gap
	}
	/* LIST of what is far behind */
	:: d_step { x[w].st == gap ->
		found = x[w].proof;
		n = x[w].seq;
		look_far();
#ifdef BUG_NO_PROOF
		found = 0;
#endif
		x[w].proof = 0;
		if
		:: found -> x[w].st = relook
		:: else -> send_fence(w)
		fi
	}
	:: d_step { x[w].st == relook ->
		if
		:: slot[x[w].seq] -> x[w].st = walk
		:: else -> refuse(w)
		fi
	}
	/* the fence's slot is taken: by it, or by another */
	:: d_step { x[w].st == fencing && slot[x[w].seq] ->
#ifdef BUG_FENCE_NEXT_SLOT
		if
		:: slot[x[w].seq] != w ->
			x[w].seq++;
			send_fence(w)
		:: else -> fenced(w)
		fi
#else
		take_objects(w)
#endif
	}
#ifdef DELETE
	:: d_step { x[w].st == check ->
		if
		:: MAY_SERVE(x[w].head) -> serving(w)
		:: else -> end(w)
		fi
	}
#endif
	/* a batch of one operation, and its PUT */
	:: d_step { x[w].st == serve && x[w].ops < MOST(w) && IN_WINDOW(w) ->
		number(w);
		send_batch(w)
	}
	/* the answer to the lowest PUT */
	:: d_step { x[w].st == serve && x[w].lowest < x[w].free && slot[x[w].lowest] == w ->
		commit(w)
	}
	:: d_step { x[w].st == serve && x[w].lowest < x[w].free && slot[x[w].lowest] &&
		    slot[x[w].lowest] != w ->
#ifdef BUG_ANY_412_IS_MINE
		commit(w)
#else
		superseded(w)
#endif
	}
#if defined(BUG_COUNT_WINDOW) || defined(BUG_ANSWER_OUT_OF_ORDER)
	EVERY_SLOT(LEARN)
#endif
#ifdef CKPT
	:: d_step { x[w].st == serve && !x[w].put && x[w].ckpts < CKPTS && x[w].swept == x[w].sweep_to &&
		    x[w].i.from > heads[newest].i.from && TELLS_NUMBERS(w) ->
		checkpoint(w)
	}
	/* the name of its head is taken; LIST */
	:: d_step { x[w].st == serve && x[w].put && heads[x[w].put].own ->
		if
		:: heads[x[w].put].own == w && IS_NEWEST(x[w].put) -> checkpointed(w)
		:: else -> end(w)
		fi
	}
#endif
#ifdef DELETE
	:: d_step { x[w].st == serve && x[w].swept < x[w].sweep_to -> sweep(w) }
#endif
#ifdef ADOPT
	:: d_step { x[w].st != over -> end(w) }
#endif
	od
}

init {
	atomic {
		x[1].st = serve;
		x[1].served = 1;
		x[1].epoch = 1;
		x[1].head = 1;
		x[1].fence = SLOTS;
		x[1].first = 1;
		x[1].next = 1;
		heads[1].own = 1;
		heads[1].epoch = 1;
		newest = 1;
			n = 1;
		do
		:: n <= WRITERS ->
			x[n].st = (n == 1 -> serve : start);
			run net(n);
			run writer(n);
			n++
		:: else -> break
		od
	}
}
