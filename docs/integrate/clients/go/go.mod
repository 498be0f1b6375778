module sightline

go 1.19
