-- What products' documents need when they live beside these records (MongoDB) instead of in them, and versions that tell a lost race in both.

alter table product add column version integer not null default 0;

-- The newest revision that a product took, as opposed to figures; the newest of the tree of categories; what this shop calls itself where its documents
-- live, and where that is ('' is here).
alter table catalog_revision add column products bigint not null default 0;
alter table catalog_revision add column categories bigint not null default 0;
alter table catalog_revision add column shop text not null default '';
alter table catalog_revision add column home text not null default '';

update catalog_revision set products = value;

-- Documents that are committed here and may not be there yet. Without a text: the document stays as it is, only its revision is new.
create table document_waiting (
    kind text not null,
    id text not null,
    revision bigint not null,
    version integer not null,
    category text not null,
    document text not null,
    primary key (kind, id)
);

create index document_waiting_by_revision on document_waiting (kind, revision);
