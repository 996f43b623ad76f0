/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile virtio driver: sets up every device it finds, over MMIO and PCI, with rings of both
 * formats full of plausible and implausible descriptors, and resets, changes and notifies at any
 * moment. Numbers on its command line: the seed, then how many rounds. Ends with value 1 by way of the
 * test device; a monitor that is still there to hear it has survived.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

asm(".section .multiboot, \"a\"\n"
    ".align 4\n"
    ".long 0x1badb002, 0, -0x1badb002\n"
    ".text\n"
    ".globl _start\n"
    "_start: mov $0x200000, %esp\n"
    "push %ebx\n"
    "call main\n"
    "1: hlt\n"
    "jmp 1b\n");

/* ---- the machine ---- */

#define EXIT_PORT    0xf4
#define SERIAL_PORT  0x3f8
#define MMIO_FIRST   0xfebf0000u
#define MMIO_LAST    0xfec00000u
#define MMIO_STRIDE  0x200u
#define BAR_WINDOW   0xd0000000u /* where BARs of ours go, 1 MiB each */
#define RINGS	     0x400000u
#define BUFFERS	     0x500000u
#define BUFFERS_SIZE 0x100000u

static inline void outl(u16 port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline u32 inl(u16 port)
{
	u32 value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline u32 read32(u32 addr)
{
	return *(volatile u32 *)addr;
}

static inline void write32(u32 addr, u32 value)
{
	*(volatile u32 *)addr = value;
}

static inline void write16(u32 addr, u16 value)
{
	*(volatile u16 *)addr = value;
}

static inline void write8(u32 addr, u8 value)
{
	*(volatile u8 *)addr = value;
}

static void put(char c)
{
	while (!(inb(SERIAL_PORT + 5) & 0x20))
		;
	outb(SERIAL_PORT, (u8)c);
}

static void print(const char *text)
{
	while (*text)
		put(*text++);
}

static void print_number(u32 n)
{
	if (n >= 10)
		print_number(n / 10);
	put((char)('0' + n % 10));
}

static void clear(u32 at, u32 len)
{
	u32 words = len / 4;

	asm volatile("rep stosl" : "+D"(at), "+c"(words) : "a"(0) : "memory");
}

static u64 seed;

static u32 random32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (u32)(seed >> 16);
}

/* True once in n times. */
static int once_in(u32 n)
{
	return random32() % n == 0;
}

/* ---- devices ---- */

struct device {
	int is_pci;
	u32 base;			 /* MMIO: the window */
	u32 common, notify, isr, config; /* PCI: where the structures are; 0: not seen */
	u32 notify_multiplier;
	u32 type;
	u32 features[2]; /* offered */
};

#define DEVICES_MAX 64
static struct device devices[DEVICES_MAX];
static u32 nr_devices;

static u32 pci_address(u32 devfn, u32 reg)
{
	return 0x80000000u | devfn << 8 | (reg & 0xfc);
}

static u32 pci_read(u32 devfn, u32 reg)
{
	outl(0xcf8, pci_address(devfn, reg));
	return inl(0xcfc);
}

static void pci_write(u32 devfn, u32 reg, u32 value)
{
	outl(0xcf8, pci_address(devfn, reg));
	outl(0xcfc, value);
}

static u8 pci_read8(u32 devfn, u32 reg)
{
	return (u8)(pci_read(devfn, reg) >> (8 * (reg & 3)));
}

/* Moves memory BAR n below 4 GiB, where this guest can reach it, and tells where it is. */
static u32 place_bar(u32 devfn, u32 n)
{
	u32 addr = BAR_WINDOW + (nr_devices * 6 + n) * 0x100000u;
	u32 old = pci_read(devfn, 0x10 + 4 * n);

	if (old & 1)
		return 0;
	if ((old & ~15u) && !((old >> 1 & 2) && pci_read(devfn, 0x14 + 4 * n)))
		return old & ~15u;
	pci_write(devfn, 0x10 + 4 * n, addr);
	if (old >> 1 & 2)
		pci_write(devfn, 0x14 + 4 * n, 0);
	return addr;
}

static void find_pci(void)
{
	for (u32 devfn = 0; devfn < 256 && nr_devices < DEVICES_MAX; devfn++) {
		u32 id = pci_read(devfn, 0);
		struct device *d = &devices[nr_devices];

		if ((id & 0xffff) != 0x1af4 || (id >> 16) < 0x1040)
			continue;
		*d = (struct device){.is_pci = 1, .type = (id >> 16) - 0x1040};
		pci_write(devfn, 4, 7);
		for (u32 cap = pci_read8(devfn, 0x34); cap; cap = pci_read8(devfn, cap + 1)) {
			if (pci_read8(devfn, cap) != 9)
				continue;
			u32 type = pci_read8(devfn, cap + 3), bar = pci_read8(devfn, cap + 4);
			u32 base = bar < 6 ? place_bar(devfn, bar) : 0;
			u32 at = base + pci_read(devfn, cap + 8);

			if (!base)
				continue;
			if (type == 1)
				d->common = at;
			else if (type == 2)
				d->notify = at, d->notify_multiplier = pci_read(devfn, cap + 16);
			else if (type == 3)
				d->isr = at;
			else if (type == 4)
				d->config = at;
		}
		if (d->common && d->notify)
			nr_devices++;
	}
}

static void find_mmio(void)
{
	for (u32 at = MMIO_FIRST; at < MMIO_LAST && nr_devices < DEVICES_MAX; at += MMIO_STRIDE) {
		if (read32(at) != 0x74726976u || !read32(at + 8))
			continue;
		devices[nr_devices++] = (struct device){.base = at, .type = read32(at + 8)};
	}
}

static void set_status(struct device *d, u8 status)
{
	if (d->is_pci)
		write8(d->common + 20, status);
	else
		write32(d->base + 0x70, status);
}

static u8 status_of(struct device *d)
{
	return d->is_pci ? *(volatile u8 *)(d->common + 20) : (u8)read32(d->base + 0x70);
}

static u32 offered(struct device *d, u32 word)
{
	write32(d->is_pci ? d->common : d->base + 0x14, word);
	return read32(d->is_pci ? d->common + 4 : d->base + 0x10);
}

static void accept(struct device *d, u32 word, u32 bits)
{
	write32(d->is_pci ? d->common + 8 : d->base + 0x24, word);
	write32(d->is_pci ? d->common + 12 : d->base + 0x20, bits);
}

static void notify(struct device *d, u32 queue)
{
	if (d->is_pci)
		write16(d->notify + queue * d->notify_multiplier, (u16)queue);
	else
		write32(d->base + 0x50, queue);
}

/* Largest size of a queue; 0: there is none. Selects it. */
static u32 select_queue(struct device *d, u32 queue)
{
	if (d->is_pci) {
		write16(d->common + 22, (u16)queue);
		return *(volatile u16 *)(d->common + 24);
	}
	write32(d->base + 0x30, queue);
	return read32(d->base + 0x34);
}

static void set_up_queue(struct device *d, u32 size, const u32 parts[3])
{
	u32 high = once_in(50) ? random32() : 0;

	if (d->is_pci) {
		write16(d->common + 24, (u16)size);
		write16(d->common + 26, (u16)random32());
		for (u32 i = 0; i < 3; i++) {
			write32(d->common + 32 + 8 * i, parts[i]);
			write32(d->common + 36 + 8 * i, high);
		}
		write16(d->common + 28, 1);
		return;
	}
	write32(d->base + 0x38, size);
	for (u32 i = 0; i < 3; i++) {
		write32(d->base + 0x80 + 16 * i, parts[i]);
		write32(d->base + 0x84 + 16 * i, high);
	}
	write32(d->base + 0x44, 1);
}

static void reset_queue(struct device *d)
{
	if (d->is_pci)
		write16(d->common + 58, 1);
	else
		write32(d->base + 0xc0, 1);
}

static void scribble_config(struct device *d)
{
	u32 at = d->is_pci ? d->config : d->base + 0x100;
	u32 offset = random32() % 80;

	if (!at)
		return;
	if (once_in(2))
		(void)read32(at + (offset & ~3u));
	else if (once_in(2))
		write32(at + (offset & ~3u), random32());
	else
		write8(at + offset, (u8)random32());
}

/* ---- rings ---- */

#define QUEUES_MAX 8

struct queue {
	u32 size;
	u32 parts[3];
	u16 next; /* split: next index; packed: next descriptor */
	int wrap;
};

static struct queue queues[QUEUES_MAX];
static int is_packed;

static u32 some_address(void)
{
	if (once_in(60))
		return random32();
	if (once_in(60)) /* rings over rings */
		return RINGS + random32() % 0x10000;
	return BUFFERS + (random32() & (BUFFERS_SIZE - 1));
}

static u32 some_length(void)
{
	static const u32 usual[] = {0, 1, 8, 12, 16, 24, 64, 512, 4096, 65536};

	return once_in(40) ? random32() : once_in(3) ? random32() % 5000 : usual[random32() % 10];
}

/* A chain of one to five buffers, most often readable ones before writable ones. */
static void put_chain(struct queue *q)
{
	u32 n = 1 + random32() % 5, nr_readable = random32() % (n + 1);
	u16 first = is_packed ? q->next : (u16)(random32() % q->size);

	for (u32 i = 0; i < n; i++) {
		u32 at = (first + i) % q->size;
		u32 desc = q->parts[0] + 16 * at;
		u16 flags = (u16)((i + 1 < n ? 1 : 0) | (i >= nr_readable ? 2 : 0) |
				  (once_in(30) ? 4 : 0));

		if (once_in(50))
			flags = (u16)random32();
		write32(desc, some_address());
		write32(desc + 4, once_in(100) ? random32() : 0);
		write32(desc + 8, some_length());
		if (is_packed) {
			int wrap = first + i >= q->size ? !q->wrap : q->wrap;
			write16(desc + 12, (u16)(once_in(50) ? random32() : first));
			write16(desc + 14, (u16)(flags | (wrap ? 0x80 : 0x8000)));
		} else {
			write16(desc + 12, flags);
			write16(desc + 14, (u16)(once_in(50) ? random32() : (at + 1) % q->size));
		}
	}
	if (is_packed) {
		if (q->next + n >= q->size)
			q->wrap = !q->wrap;
		q->next = (u16)((q->next + n) % q->size);
		return;
	}
	write16(q->parts[1] + 4 + 2 * (q->next % q->size), once_in(80) ? (u16)random32() : first);
	q->next++;
	if (once_in(100))
		q->next = (u16)random32();
	write16(q->parts[1] + 2, q->next);
}

/* Buffers begin with small numbers, as requests of all kinds do. */
static void fill_buffers(void)
{
	for (u32 i = 0; i < 256; i++) {
		u32 at = BUFFERS + (random32() & (BUFFERS_SIZE - 4));

		write32(at & ~3u, once_in(3) ? random32() : random32() % 32);
	}
}

static u32 start(struct device *d)
{
	u32 nr = 0;

	set_status(d, 0);
	set_status(d, 3);
	is_packed = (d->features[1] & 4) && once_in(2);
	for (u32 word = 0; word < 2; word++) {
		u32 bits = d->features[word];

		if (once_in(3))
			bits &= random32() | (word ? 1 : 0);
		if (word)
			bits = is_packed ? bits | 4 : bits & ~4u;
		if (once_in(40))
			bits = random32();
		accept(d, word, bits);
	}
	set_status(d, 11);
	for (u32 i = 0; i < QUEUES_MAX; i++) {
		u32 size_max = select_queue(d, i);
		struct queue *q = &queues[i];

		q->size = 0;
		if (!size_max)
			continue;
		nr = i + 1;
		if (once_in(20))
			continue;
		*q = (struct queue){.size = 1u << (random32() % 8), .wrap = 1};
		if (q->size > size_max)
			q->size = size_max;
		for (u32 part = 0; part < 3; part++) {
			q->parts[part] = RINGS + i * 0x4000 + part * 0x1000;
			clear(q->parts[part], 0x1000);
			if (once_in(3))
				write32(q->parts[part] + random32() % 0x400 * 4, random32());
		}
		u32 told[3] = {q->parts[0], q->parts[1], q->parts[2]};
		if (once_in(40))
			told[random32() % 3] = random32();
		set_up_queue(d, once_in(40) ? random32() : q->size, told);
	}
	set_status(d, once_in(30) ? (u8)random32() : 15);
	return nr;
}

static void abuse(struct device *d)
{
	u32 nr = start(d);

	fill_buffers();
	for (u32 step = random32() % 64; step > 0; step--) {
		u32 n = nr ? random32() % nr : 0;
		struct queue *q = &queues[n];

		switch (random32() % 16) {
		case 0:
			scribble_config(d);
			break;
		case 1:
			select_queue(d, n);
			if (once_in(4))
				reset_queue(d);
			else if (once_in(4))
				set_up_queue(d, random32() % 300, q->parts);
			break;
		case 2:
			if (once_in(4))
				set_status(d, once_in(2) ? 0 : (u8)random32());
			break;
		case 3:
			(void)status_of(d);
			if (once_in(8))
				accept(d, random32() % 3, random32());
			break;
		case 4:
			fill_buffers();
			break;
		case 5:
			notify(d, random32() % 70);
			break;
		default:
			for (u32 i = random32() % 6; q->size && i > 0; i--)
				put_chain(q);
			notify(d, n);
			break;
		}
	}
}

static u32 number(const char **text)
{
	u32 n = 0;

	while (**text && (**text < '0' || **text > '9'))
		(*text)++;
	while (**text >= '0' && **text <= '9')
		n = n * 10 + (u32)(*(*text)++ - '0');
	return n;
}

void main(const u32 *info)
{
	/* The command line follows the file's name. */
	const char *text = info[0] & 4 ? (const char *)info[4] : "";

	while (*text && *text != ' ')
		text++;
	seed = number(&text) * 0x9e3779b97f4a7c15ull + 1;
	u32 rounds = number(&text);

	find_mmio();
	find_pci();
	print_number(nr_devices);
	print(" devices\n");
	if (!nr_devices)
		outl(EXIT_PORT, 2);
	for (u32 i = 0; i < nr_devices; i++) {
		devices[i].features[0] = offered(&devices[i], 0);
		devices[i].features[1] = offered(&devices[i], 1);
	}
	for (u32 i = 0; i < rounds; i++)
		abuse(&devices[random32() % nr_devices]);
	for (u32 i = 0; i < nr_devices; i++) {
		set_status(&devices[i], 0);
		if (status_of(&devices[i])) {
			print("a device did not reset\n");
			outl(EXIT_PORT, 3);
		}
	}
	print("done\n");
	outl(EXIT_PORT, 0);
}
