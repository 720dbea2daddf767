// What is in files/ is built in a copy of Latchkey, and not here.
module example

go 1.26
