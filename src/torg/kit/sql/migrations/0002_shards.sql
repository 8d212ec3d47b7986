-- Where what is new of a user goes, when a context's records are spread over several databases; only the first of these has rows here. `former`: where
-- else there is something of theirs.

create table shard_range (
    first integer primary key,
    shard integer not null,
    former text not null,
    moving integer not null
);

create table shard_user (
    user_id text primary key,
    shard integer not null,
    former text not null,
    moving integer not null
);
