module herald.example/hello-go

go 1.24
