"""FastAPI with SQLAlchemy, as in their tutorials: fastapi.tiangolo.com/tutorial, docs.sqlalchemy.org."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

engine = create_engine(f"sqlite:///{os.environ['BENCH_DATABASE']}", connect_args={"check_same_thread": False})
session_factory = sessionmaker(engine)
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token")
app = FastAPI()


class Base(DeclarativeBase):
    pass


class Task(Base):
    __tablename__ = "tasks_task"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int]
    title: Mapped[str] = mapped_column(String(200))
    duration: Mapped[int]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    updated_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


class TaskCreate(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    duration: int = Field(ge=1, le=525_600)


class TaskRename(BaseModel):
    title: str = Field(min_length=1, max_length=200)


class TaskRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    duration: int
    created_at: datetime
    updated_at: datetime


def get_session() -> Iterator[Session]:
    with session_factory() as session:
        yield session


def get_user_id(token: Annotated[str, Depends(oauth2_scheme)]) -> int:
    try:
        claims = jwt.decode(token, os.environ["BENCH_KEY"], algorithms=["HS256"], audience="task-api", issuer="auth")
    except jwt.InvalidTokenError:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from None
    return int(claims["user_id"])


DatabaseSession = Annotated[Session, Depends(get_session)]
UserId = Annotated[int, Depends(get_user_id)]


def own_task(task_id: int, session: DatabaseSession, user_id: UserId) -> Task:
    task = session.scalar(select(Task).where(Task.id == task_id, Task.owner_id == user_id))
    if task is None:
        raise HTTPException(404)
    return task


OwnTask = Annotated[Task, Depends(own_task)]


@app.get("/api/tasks", response_model=list[TaskRead])
def list_tasks(session: DatabaseSession, user_id: UserId) -> object:
    newest = select(Task).where(Task.owner_id == user_id).order_by(Task.created_at.desc(), Task.id.desc()).limit(4)
    return session.scalars(newest).all()


@app.post("/api/tasks", response_model=TaskRead, status_code=201)
def create_task(body: TaskCreate, session: DatabaseSession, user_id: UserId) -> object:
    task = Task(owner_id=user_id, **body.model_dump())
    session.add(task)
    session.commit()
    session.refresh(task)
    return task


@app.get("/api/tasks/{task_id}", response_model=TaskRead)
def read_task(task: OwnTask) -> object:
    return task


@app.patch("/api/tasks/{task_id}", response_model=TaskRead)
def rename_task(task: OwnTask, body: TaskRename, session: DatabaseSession) -> object:
    task.title, task.updated_at = body.title, datetime.now(UTC)
    session.commit()
    session.refresh(task)
    return task


@app.delete("/api/tasks/{task_id}", status_code=204)
def delete_task(task: OwnTask, session: DatabaseSession) -> None:
    session.delete(task)
    session.commit()
