module sightline

go 1.22
