"""The paper's figures and tables, drawn from the tables of a run; one file per figure."""
