module github.com/holdfast-games/holdfast

go 1.26.0
