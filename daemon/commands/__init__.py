"""The commands of ``bookferry``, by what they are for. Each imports what is heavy when it runs, so that looks are quick."""
