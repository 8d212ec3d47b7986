-- Networks that the front door blocks or lets in; rows stay when their time is over, as a record of who shut whom out.

create table network_rule (
    id text primary key,
    network text not null,
    kind text not null,
    reason text not null,
    added_by text not null,
    added_at text not null,
    expires_at text,
    ended_at text,
    ended_by text not null
);

create index network_rule_holding on network_rule (added_at) where ended_at is null;
