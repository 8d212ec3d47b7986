-- Countries that the front door blocks, lets in, or lets in alone; rows stay when their time is over, as those of networks do.

create table country_rule (
    id text primary key,
    country text not null,
    kind text not null,
    reason text not null,
    added_by text not null,
    added_at text not null,
    expires_at text,
    ended_at text,
    ended_by text not null
);

create index country_rule_holding on country_rule (added_at) where ended_at is null;
