-- The first schema of the store.
--
-- A partition is a mutex: its row in `part` is locked first, and guards every row of the same `p` in the other tables. So numbers of
-- movements are without gaps and in the order of commits, within a partition. Nothing here needs a sequence, a trigger or a foreign key.

CREATE TABLE inventory.part (
    p int4 PRIMARY KEY,
    head int8 NOT NULL DEFAULT 0,         -- the number of its last movement
    tick int8 NOT NULL DEFAULT 0,         -- raised by every commit
    clock_ms int8 NOT NULL DEFAULT 0,     -- the latest time anything of it was judged by
    levels int8 NOT NULL DEFAULT 0,       -- how many levels exist
    pending int8 NOT NULL DEFAULT 0,      -- reservations that hold units
    queued int8 NOT NULL DEFAULT 0,       -- orders whose turn it is not yet
    backordered int8 NOT NULL DEFAULT 0   -- orders that wait for units
) WITH (fillfactor = 10);

CREATE TABLE inventory.level (
    p int4 NOT NULL,
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    on_hand int8 NOT NULL,
    reserved int8 NOT NULL,
    version int8 NOT NULL,
    present bool NOT NULL,                -- false: a tombstone, or a level that orders wait for and that never was
    seq int8 NOT NULL,                    -- its last movement; 0 for none
    waits int4 NOT NULL DEFAULT 0,        -- orders that wait for its units
    PRIMARY KEY (p, sku, location)
) WITH (fillfactor = 70);

CREATE TABLE inventory.movement (
    p int4 NOT NULL,
    seq int8 NOT NULL,
    time_ms int8 NOT NULL,
    kind text NOT NULL,
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    on_hand_before int8 NOT NULL,
    reserved_before int8 NOT NULL,
    on_hand int8 NOT NULL,
    reserved int8 NOT NULL,
    version int8 NOT NULL,
    present bool NOT NULL,
    prev int8 NOT NULL,                   -- the movement of the level before this; 0 for none
    reason text,
    reference text,
    actor text,
    reservation uuid,
    "order" uuid,
    PRIMARY KEY (p, seq)
);

CREATE TABLE inventory.reservation (
    p int4 NOT NULL,
    id uuid NOT NULL,
    state text NOT NULL,
    expires_ms int8 NOT NULL,
    ended_ms int8,
    body text NOT NULL,                   -- its lines, and what was shipped of them: JSON
    PRIMARY KEY (p, id)
);
CREATE INDEX reservation_due ON inventory.reservation (p, expires_ms) WHERE state = 'pending';
CREATE INDEX reservation_ended ON inventory.reservation (p, ended_ms) WHERE state <> 'pending';

-- A line of a pending reservation, with the level it holds.
CREATE TABLE inventory.held (
    p int4 NOT NULL,
    reservation uuid NOT NULL,
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    quantity int8 NOT NULL,
    expires_ms int8 NOT NULL,
    PRIMARY KEY (p, reservation, sku, location)
);
CREATE INDEX held_due ON inventory.held (p, expires_ms);
CREATE INDEX held_level ON inventory.held (p, sku, location, expires_ms);

CREATE TABLE inventory.orders (
    p int4 NOT NULL,
    id uuid NOT NULL,
    state text NOT NULL,
    priority int4 NOT NULL,
    created_ms int8 NOT NULL,
    ended_ms int8,
    body text NOT NULL,                   -- the whole of it: JSON
    PRIMARY KEY (p, id)
);
CREATE INDEX orders_queued ON inventory.orders (p, id) WHERE state = 'queued';
CREATE INDEX orders_ended ON inventory.orders (p, ended_ms) WHERE ended_ms IS NOT NULL;

-- An order that waits for units, with each of the levels it is for.
CREATE TABLE inventory.waiting (
    p int4 NOT NULL,
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    priority int4 NOT NULL,
    created_ms int8 NOT NULL,
    ready bool NOT NULL DEFAULT false,    -- worth another try
    PRIMARY KEY (p, sku, location, id)
);
CREATE INDEX waiting_order ON inventory.waiting (p, id);
CREATE INDEX waiting_ready ON inventory.waiting (p) WHERE ready;

-- Idempotency keys, in a place of their own: `k` is of the key alone, whatever it was used for.
CREATE TABLE inventory.once (
    k int4 NOT NULL,
    key uuid NOT NULL,
    fingerprint bytea NOT NULL,
    outcome text,                         -- JSON; null while lines of a batch are under way
    until_ms int8 NOT NULL,
    PRIMARY KEY (k, key)
);
-- By time first: who looks a key up must not be led through all of its place.
CREATE INDEX once_until ON inventory.once (until_ms, k);

-- The ledger is a row of runs: each a stretch of movements of one partition. So each movement has one number, for all, and for good.
CREATE TABLE inventory.feed (
    z int4 PRIMARY KEY,
    total int8 NOT NULL,                  -- the number of the last movement of the last run
    heads int8[] NOT NULL                 -- of each partition, the last movement that is in a run
) WITH (fillfactor = 10);
INSERT INTO inventory.feed (z, total, heads) VALUES (0, 0, '{}');

CREATE TABLE inventory.run (
    z int4 NOT NULL,
    last int8 NOT NULL,                   -- the number of its last movement
    p int4 NOT NULL,
    head int8 NOT NULL,                   -- that movement's number in its partition
    PRIMARY KEY (z, last)
);
CREATE INDEX run_head ON inventory.run (z, p, head);
CREATE INDEX run_last ON inventory.run (z, p, last);

-- What is changed here is changed under the lock of the feed's row.
CREATE TABLE inventory.document (
    z int4 NOT NULL,
    name text NOT NULL,
    version int8 NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (z, name)
);

-- What one process does at a time: who has it, until when, and what was left for the next.
CREATE TABLE inventory.lease (
    z int4 NOT NULL,
    name text COLLATE "C" NOT NULL,
    holder uuid NOT NULL,                 -- a claim: a number that is used once; none is all zeros
    until_ms int8 NOT NULL,               -- anybody may take it from then on
    kept bytea,                           -- what was left in it last
    PRIMARY KEY (z, name)
) WITH (fillfactor = 50);
