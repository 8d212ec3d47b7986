#!/bin/sh
# Run once by the image, for a new cluster: the role that makes the contexts' own roles and schemas, and its database. `torg engines` does the same.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$TORG_DB_PASSWORD" --username postgres <<'SQL'
create role torg login createrole createdb password :'password';
create database torg owner torg;
SQL
