"""The commands of `beaver`, a module a group. Imports what a command needs when it runs, so that help is quick."""
