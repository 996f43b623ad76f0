/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the 9P server share. Private to this folder.
 */
#ifndef BACKEND_FS_P9_IMPL_H
#define BACKEND_FS_P9_IMPL_H

#include <linux/limits.h>

#include "backend/fs/htable.h"
#include "backend/fs/p9.h"
#include "backend/fs/wait.h"
#include "base/base.h"

/* Message types; the answer's is one more. */
enum p9_type {
	P9_RLERROR = 7,
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TMKNOD = 18,
	P9_TRENAME = 20,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TXATTRWALK = 30,
	P9_TXATTRCREATE = 32,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLOCK = 52,
	P9_TGETLOCK = 54,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TAUTH = 102,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
	P9_TREMOVE = 122,
};

#define P9_HEADER_SIZE 7	  /* size[4] type[1] tag[2] */
#define P9_MSIZE_MAX   (1u << 20) /* v9fs asks for half of that at most */
#define P9_MSIZE_MIN   4096u	  /* a path fits */
#define P9_NO_FID      UINT32_MAX

/* Fids a client may have. v9fs keeps one per file it remembers; each costs some 100 bytes here. */
#define P9_FIDS_MAX (1u << 20)

/* Bytes of extended attributes being read or written by all fids: many programs' at once. */
#define P9_XATTRS_MAX (16u << 20)

struct p9 {
	struct export *ex;
	uint32_t msize; /* 0: no version was agreed on */
	struct htable fids;
	uint64_t xattr_bytes; /* what fids have of P9_XATTRS_MAX */
	struct fs_waits waits;
};

enum p9_fid_kind { P9_FID_FILE, P9_FID_XATTR_READ, P9_FID_XATTR_WRITE };

struct p9_fid {
	struct hnode hash; /* by number */
	struct node *node; /* a reference */
	struct file *file; /* when it is open */
	uint32_t uid;	   /* whom it was attached for */
	enum p9_fid_kind kind;
	uint64_t xattr_room; /* what it counts for in xattr_bytes */
	struct buf xattr;    /* the value, as far as it was written */
	char *xattr_name;
	uint64_t xattr_size;
	uint32_t xattr_flags;
};

/* One message while it is served. */
struct p9_call {
	struct p9 *p;
	struct fs_request *request;
	struct fs_stream in, out; /* after the headers */
	uint32_t size;		  /* of the message */
	uint8_t type;
	uint16_t tag;
	bool is_bad; /* the message ended too early, or the room for the answer did */
	size_t reply_len;
};

/* Beside 0 and negative errnos, what an operation may return: it is answered later. */
enum { P9_WAITS = 1 };

typedef int (*p9_fn)(struct p9_call *c);

/* NULL when the type is not one of that file's. */
p9_fn p9_tree_operation(uint8_t type);
p9_fn p9_file_operation(uint8_t type);

/* ---- fields: zero, and is_bad, past the end ---- */

uint8_t p9_get8(struct p9_call *c);
uint16_t p9_get16(struct p9_call *c);
uint32_t p9_get32(struct p9_call *c);
uint64_t p9_get64(struct p9_call *c);

/* A string, terminated in dst; is_bad when it is longer than size - 1 or has a zero byte in it. */
void p9_get_text(struct p9_call *c, char *dst, size_t size);

void p9_put8(struct p9_call *c, uint8_t v);
void p9_put16(struct p9_call *c, uint16_t v);
void p9_put32(struct p9_call *c, uint32_t v);
void p9_put64(struct p9_call *c, uint64_t v);
void p9_put_text(struct p9_call *c, const char *text, size_t len);
#define P9_QID_SIZE 13
void p9_put_qid(struct p9_call *c, const struct statx *attr);

/* ---- fids ---- */

/* The next field's fid; NULL when there is none of that number, or of a kind that is no file. */
struct p9_fid *p9_get_fid(struct p9_call *c);
struct p9_fid *p9_fid_find(struct p9 *p, uint32_t number);

/* A new fid with a reference of its own on the node. NULL when the number is in use. */
struct p9_fid *p9_fid_new(struct p9 *p, uint32_t number, struct node *n, uint32_t uid, int *rc);
void p9_fid_free(struct p9 *p, struct p9_fid *fid);

/* Sets size bytes aside for the fid's attribute, until it is freed. 0, or -ENOSPC. */
int p9_fid_take_room(struct p9 *p, struct p9_fid *fid, uint64_t size);

#endif
